# SPDX-License-Identifier: MPL-2.0
"""What the end-to-end and interoperability tests share. conftest.py turns it into fixtures."""
