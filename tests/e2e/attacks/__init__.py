# SPDX-License-Identifier: MPL-2.0
"""Floods against an application, bare and behind Weir: the tool that sends them (C), and what the tests say about who suffered."""
