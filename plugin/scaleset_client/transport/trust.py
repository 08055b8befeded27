"""Whom we trust, and TLS sessions taken up again."""

import os
import ssl
from typing import NoReturn, TypeAlias

from scaleset_client.options import ConnectionOptions

__all__ = ["proxy_trust", "service_trust", "trusting"]

Sessions: TypeAlias = dict[str, ssl.SSLSession]


def service_trust(options: ConnectionOptions) -> ssl.SSLContext:
    """Return the context for the service: always verifying, HTTP/1.1 only, with our certificate if any.

    Raises:
        OSError: A file is missing, or holds no usable certificate or key; the message says which option names it.
    """
    context = proxy_trust(options)
    context.set_alpn_protocols(["http/1.1"])
    if options.client_certificate:
        _show(context, options.client_certificate, options.client_key)
    return context


def proxy_trust(options: ConnectionOptions) -> ssl.SSLContext:
    """Return the context for an https:// proxy: the same authorities, but never our certificate."""
    context = trusting(options.ca_file)
    # An authority that was named is trusted for itself, even if it is an intermediate one and its root was not named.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.sslobject_class = _resuming({})
    return context


def trusting(ca_file: str | None) -> ssl.SSLContext:
    """Return a verifying context, for these authorities instead of the system's.

    Raises:
        OSError: The file cannot be used, or what SSLKEYLOGFILE names cannot be opened; the message says which.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        named = os.environ.get("SSLKEYLOGFILE")
        if named and error.filename == named:
            raise OSError(
                f"the environment's SSLKEYLOGFILE names `{named}`, which cannot be opened: {error.strerror}; unset it"
            ) from error
        raise OSError(f"ca_file `{ca_file}`: {_why(error)}") from error


def _show(context: ssl.SSLContext, certificate: str, key: str | None) -> None:
    named = f"client_certificate `{certificate}`" + (f" with client_key `{key}`" if key else "")

    def ask() -> NoReturn:  # OpenSSL would ask at the terminal
        raise ValueError("the key is encrypted, and there is nobody to ask for its password: store it decrypted")

    try:
        context.load_cert_chain(certificate, key, ask)
    except (OSError, ValueError) as error:
        raise OSError(f"{named}: {_why(error)}") from error


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    if reason == "KEY_VALUES_MISMATCH":
        return "the key is not that of the certificate"
    if isinstance(error, ssl.SSLError):
        return f"it holds nothing of the kind that can be read ({reason or error})"
    return getattr(error, "strerror", None) or str(error)


def _resuming(sessions: Sessions) -> type[ssl.SSLObject]:
    """Return a TLS object that offers the session last had with its server.

    Neither asyncio nor uvloop has a parameter for a session, but both take the class from the context.
    """

    class ResumingObject(ssl.SSLObject):
        """Sets the session before the handshake and keeps the one that comes after it."""

        _begun = _kept = False

        def do_handshake(self) -> None:
            """Offer what is known; the server is free to refuse it."""
            if not self._begun:
                self._begun = True
                session = sessions.get(self.server_hostname or "")
                if session is not None:
                    self.session = session
            super().do_handshake()

        def read(self, len: int = 1024, buffer: bytearray | None = None) -> bytes:  # type: ignore[override]  # noqa: A002
            """Keep the session with the first data, for TLS 1.3 sends tickets after the handshake."""
            data = super().read(len, buffer)
            if not self._kept:
                self._kept = True
                if not self.session_reused:  # copying a session out costs more than resuming it saves
                    self._keep(self.session)
            return data

        def _keep(self, session: ssl.SSLSession | None) -> None:
            if session is not None and session.has_ticket:
                sessions[self.server_hostname or ""] = session

    return ResumingObject
