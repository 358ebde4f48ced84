# SPDX-License-Identifier: MPL-2.0
"""The catalogue of floods (rows), what stands before the application (contenders), one measurement (cell), and what it means (figures)."""
