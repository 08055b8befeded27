"""The two ways in which an exchange fails, and what is wrong with a certificate."""

import ssl

__all__ = ["MaybeSent", "NotSent", "explain_certificate"]

_EXPIRED, _NOT_YET = 10, 9
_OTHER_NAME = frozenset({62, 64})
_UNKNOWN_AUTHORITY = frozenset({2, 18, 19, 20, 21, 27})
_STRICT = frozenset(range(80, 94))
"""What OpenSSL checks under X509_V_FLAG_X509_STRICT only (X509_V_ERR_… in its x509_vfy.h)."""


class NotSent(Exception):
    """The request surely took no effect: the service never saw it.

    Attributes:
        lasting: Whether time will not mend it: a certificate that is not trusted, a proxy that cannot be used.
    """

    def __init__(self, message: str, *, lasting: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting


class MaybeSent(Exception):
    """There is no answer that can be taken, and the service may have carried out the request."""


def explain_certificate(error: ssl.SSLCertVerificationError, whose: str, ca_file: str | None) -> str:
    """Return what is wrong with a certificate, and what to do.

    Args:
        error: What OpenSSL said.
        whose: Host and port that showed it.
        ca_file: The file of the authorities that were trusted instead of the system's.
    """
    code, said = error.verify_code, error.verify_message or str(error)
    if code == _EXPIRED:
        advice = "it, or an authority's in its chain, has to be renewed, unless this machine's clock is ahead"
    elif code == _NOT_YET:
        advice = "is this machine's clock behind?"
    elif code in _OTHER_NAME:
        advice = "use a name that the certificate holds, or have one issued for this name"
    elif code in _STRICT:
        advice = "it, or an authority's in its chain, breaks RFC 5280, which Python 3.13 and later do not accept"
    elif code in _UNKNOWN_AUTHORITY and ca_file:
        advice = f"the authority that issued it, or an intermediate certificate, is not in the ca_file {ca_file}"
    elif code in _UNKNOWN_AUTHORITY:
        advice = "is a ca_file missing? The system does not know the authority that issued it"
    else:
        advice = "see what OpenSSL says"
    return f"the certificate of {whose} is not trusted: {said.rstrip('.')}; {advice}"
