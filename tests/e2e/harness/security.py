# SPDX-License-Identifier: MPL-2.0
"""Socket options of both sides for each mechanism, with a ZAP handler that really decides."""
import zmq

MECHANISMS = ["NULL", "PLAIN", "CURVE"]
USER, PASSWORD = b"alice", b"open sesame"


class Allowed:
    """A ZAP credentials provider for CURVE: these public keys (Z85) and no others."""

    def __init__(self, *keys):
        self.keys = set(keys)

    def callback(self, domain, key):
        return key in self.keys


def secure(mechanism, peers):
    """(application options, client options); sets up the application's ZAP handler."""
    if mechanism == "NULL":
        return {}, {}
    auth = peers.zap()
    if mechanism == "PLAIN":
        auth.configure_plain(domain="*", passwords={USER.decode(): PASSWORD.decode()})
        return {"PLAIN_SERVER": 1}, {"PLAIN_USERNAME": USER, "PLAIN_PASSWORD": PASSWORD}
    server_public, server_secret = zmq.curve_keypair()
    public, secret = zmq.curve_keypair()
    auth.configure_curve_callback(domain="*", credentials_provider=Allowed(public))
    return ({"CURVE_SERVER": 1, "CURVE_SECRETKEY": server_secret},
            {"CURVE_SERVERKEY": server_public, "CURVE_PUBLICKEY": public, "CURVE_SECRETKEY": secret})


def stranger_options(mechanism):
    """A client of this mechanism that no application knows."""
    public, secret = zmq.curve_keypair()
    return {"NULL": {}, "PLAIN": {"PLAIN_USERNAME": USER, "PLAIN_PASSWORD": PASSWORD},
            "CURVE": {"CURVE_SERVERKEY": zmq.curve_keypair()[0], "CURVE_PUBLICKEY": public, "CURVE_SECRETKEY": secret}}[mechanism]
