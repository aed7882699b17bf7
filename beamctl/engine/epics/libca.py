"""The C library of Channel Access, loaded once per process, behind a dozen typed functions.

pyepics finds and initialises libca; everything after that goes to libca directly, because the handlers of
pyepics drop what matters here: its put handler never looks at the status, and takes a refusal for a success.

Handlers are called from libca's own threads. libca is given a number for each, never a Python object: an
answer that comes after its request was given up finds no handler, where a pointer would dangle.
"""

import atexit
import ctypes
import functools
import itertools
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from beamctl.engine.epics import dbr

_log = logging.getLogger(__name__)

# Numbers of caerr.h, cadef.h and caeventmask.h.
NORMAL: Final = 1
_TIMEOUT: Final = 80
_DISCONNECTED: Final = 192
_CHANNEL_DESTROYED: Final = 440
_CONNECTION_TIMEOUT: Final = 472
_UNRESPONSIVE: Final = 480
UNDECIDED: Final = frozenset({_TIMEOUT, _DISCONNECTED, _CHANNEL_DESTROYED, _CONNECTION_TIMEOUT, _UNRESPONSIVE})
"""after these nobody knows whether a put was applied; every other failure is the IOC's refusal"""

_CONNECTION_UP: Final = 6
_VALUE_OR_ALARM: Final = 1 | 4

EventHandler: TypeAlias = Callable[[int, int], None]
"""called with the ECA status and the address of the answer (0 where there is none)"""
ConnectionHandler: TypeAlias = Callable[[bool], None]


class _EventArgs(ctypes.Structure):
    _fields_ = (
        ("user", ctypes.c_size_t),
        ("chid", ctypes.c_void_p),
        ("type", ctypes.c_long),
        ("count", ctypes.c_long),
        ("dbr", ctypes.c_void_p),
        ("status", ctypes.c_int),
    )


class _ConnectionArgs(ctypes.Structure):
    _fields_ = (("chid", ctypes.c_void_p), ("op", ctypes.c_long))


_EventCallback = ctypes.CFUNCTYPE(None, _EventArgs)
_ConnectionCallback = ctypes.CFUNCTYPE(None, _ConnectionArgs)

_loading = threading.RLock()
_tokens = itertools.count(1)
_on_update: dict[int, EventHandler] = {}
_on_answer: dict[int, EventHandler] = {}
_on_connection: dict[int, ConnectionHandler] = {}
_open_channels: set[int] = set()


def _dispatch_event(args: _EventArgs) -> None:
    handler = _on_answer.pop(args.user, None) or _on_update.get(args.user)
    if handler is not None:
        handler(args.status, args.dbr or 0)


def _dispatch_connection(args: _ConnectionArgs) -> None:
    # The token comes from libca, not from a table of channels: this may run before ca_create_channel returns.
    handler = _on_connection.get(_library().ca_puser(args.chid) or 0)
    if handler is not None:
        handler(args.op == _CONNECTION_UP)


_event_callback = _EventCallback(_dispatch_event)
_connection_callback = _ConnectionCallback(_dispatch_connection)

_POINTER_OUT: Final = ctypes.POINTER(ctypes.c_void_p)
_CHANNEL: Final = ctypes.c_void_p
_TYPE_AND_COUNT: Final = (ctypes.c_long, ctypes.c_ulong)
_WHOM_TO_TELL: Final = (_EventCallback, ctypes.c_size_t)
_SIGNATURES: Final = {
    "ca_create_channel": (
        ctypes.c_int,
        (ctypes.c_char_p, _ConnectionCallback, ctypes.c_void_p, ctypes.c_uint, _POINTER_OUT),
    ),
    "ca_clear_channel": (ctypes.c_int, (_CHANNEL,)),
    "ca_create_subscription": (
        ctypes.c_int,
        (*_TYPE_AND_COUNT, _CHANNEL, ctypes.c_long, *_WHOM_TO_TELL, _POINTER_OUT),
    ),
    "ca_array_get_callback": (ctypes.c_int, (*_TYPE_AND_COUNT, _CHANNEL, *_WHOM_TO_TELL)),
    "ca_array_put_callback": (ctypes.c_int, (*_TYPE_AND_COUNT, _CHANNEL, ctypes.c_void_p, *_WHOM_TO_TELL)),
    "ca_flush_io": (ctypes.c_int, ()),
    "ca_puser": (ctypes.c_void_p, (_CHANNEL,)),
    "ca_field_type": (ctypes.c_short, (_CHANNEL,)),
    "ca_write_access": (ctypes.c_uint, (_CHANNEL,)),
    "ca_host_name": (ctypes.c_char_p, (_CHANNEL,)),
    "ca_message": (ctypes.c_char_p, (ctypes.c_long,)),
    "ca_version": (ctypes.c_char_p, ()),
    "ca_current_context": (ctypes.c_void_p, ()),
    "ca_attach_context": (ctypes.c_int, (ctypes.c_void_p,)),
    "ca_replace_printf_handler": (ctypes.c_int, (ctypes.c_void_p,)),
}


@functools.cache
def _library() -> ctypes.CDLL:
    """Load and initialise libca: exactly once, a second initialisation has crashed the process.

    libca 7 of epicscorelibs is taken, unless a site names its own in ``PYEPICS_LIBCA``; pyepics itself
    carries libca 3.16 of 2018. The ``EPICS_CA_*`` variables are read here and never again.
    """
    # Imported here, so that importing this module costs nothing and reads no variable.
    import epicscorelibs.path  # noqa: F401  once imported, pyepics takes the libca of epicscorelibs
    from epics import ca

    # The clean-up of pyepics destroys the context, which waits 30 s for a circuit whose IOC is frozen.
    ca.AUTO_CLEANUP = False
    ca.PREEMPTIVE_CALLBACK = True
    ca.initialize_libca()
    # A handle of our own, so that the argument types set here do not change the calls that pyepics makes.
    library = ctypes.CDLL(ca.find_libca())
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    atexit.register(_leave)
    _log.info("Channel Access %s from %s", library.ca_version().decode(), ca.find_libca())
    return library


@functools.cache
def _context() -> int:
    """The one context of this process."""
    _library()
    from epics import ca

    return int(ca.initial_context)


def _leave() -> None:
    """At interpreter exit: let no thread of libca call into Python any more, then leave libca behind."""
    attach()
    for chid in tuple(_open_channels):
        close_channel(chid)
    _library().ca_replace_printf_handler(None)


def attach() -> None:
    """Let the calling thread use the context; cheap where it does so already."""
    with _loading:  # runs that begin at the same moment must not load it twice
        library, context = _library(), _context()
    if library.ca_current_context() != context:
        library.ca_attach_context(context)


def open_channel(name: str, handler: ConnectionHandler) -> int:
    """Begin to look for a PV; ``handler`` is told of each connection and loss.

    Raises:
        OSError: libca does not accept the name.
    """
    token = next(_tokens)
    _on_connection[token] = handler
    chid = ctypes.c_void_p()
    status = _library().ca_create_channel(name.encode(), _connection_callback, token, 0, ctypes.byref(chid))
    if status != NORMAL or chid.value is None:
        del _on_connection[token]
        raise OSError(f"{name!r}: {message(status)}")
    _open_channels.add(chid.value)
    return chid.value


def close_channel(chid: int) -> None:
    """Drop a channel with its subscription. Does not wait for the IOC."""
    token = _library().ca_puser(chid) or 0
    _open_channels.discard(chid)
    _library().ca_clear_channel(chid)
    _on_connection.pop(token, None)


def subscribe(chid: int, native: int, handler: EventHandler) -> int:
    """Monitor value and alarm with time stamps; returns the number to give to :func:`forget`."""
    token = next(_tokens)
    _on_update[token] = handler
    event = ctypes.c_void_p()
    _library().ca_create_subscription(
        dbr.time_type(native), 1, chid, _VALUE_OR_ALARM, _event_callback, token, ctypes.byref(event)
    )
    return token


def request_time(chid: int, native: int, handler: EventHandler) -> tuple[int, int]:
    """Ask for a fresh value; returns the status of sending and the number to give to :func:`forget`."""
    return _request(dbr.time_type(native), chid, handler)


def request_control(chid: int, handler: EventHandler) -> tuple[int, int]:
    """Ask for units, precision and limits; returns as :func:`request_time` does."""
    return _request(dbr.CTRL_DOUBLE, chid, handler)


def _request(dbr_type: int, chid: int, handler: EventHandler) -> tuple[int, int]:
    token = next(_tokens)
    _on_answer[token] = handler
    return _library().ca_array_get_callback(dbr_type, 1, chid, _event_callback, token), token


def put(chid: int, values: Sequence[float], handler: EventHandler) -> int:
    """Put with completion, as doubles, all in one message; the IOC converts. Returns the status of sending.

    Unless sending failed, ``handler`` is told the end once: the IOC's answer or the loss of the channel.
    """
    token = next(_tokens)
    _on_answer[token] = handler
    data = (ctypes.c_double * len(values))(*values)
    status = _library().ca_array_put_callback(dbr.DOUBLE, len(values), chid, data, _event_callback, token)
    if status != NORMAL:
        forget(token)
    return int(status)


def forget(token: int) -> None:
    """Drop whatever still comes under this number."""
    _on_answer.pop(token, None)
    _on_update.pop(token, None)


def flush() -> None:
    """Send what was asked for so far."""
    attach()
    _library().ca_flush_io()


def native_type(chid: int) -> int:
    """The field's own type in the IOC; -1 while not connected."""
    return int(_library().ca_field_type(chid))


def has_write_access(chid: int) -> bool:
    """Whether the IOC's access rights let us put, now."""
    return bool(_library().ca_write_access(chid))


def host_name(chid: int) -> str:
    """``host:port`` of the server; libca replaces the address by a name as soon as it has resolved it."""
    return str(_library().ca_host_name(chid).decode())


def message(status: int) -> str:
    """What libca says of a status code."""
    return str(_library().ca_message(status).decode())
