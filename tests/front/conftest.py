"""Booted machines for the tests that need one (`-m appliance`)."""

from appliance.conftest import appliance, boot, host

__all__ = ["appliance", "boot", "host"]
