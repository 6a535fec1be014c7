"""Tests of tfodhelper; the folders mirror the package."""
