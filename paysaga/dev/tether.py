"""Starts a command that ends together with the process that started it.

    python -I -S tether.py SIGNAL [--parent PID] [--unprivileged UID] -- command [argument ...]

Run by its path, with nothing but the standard library: it stands in front of every process of the stack and
costs about 20 ms. Where the kernel can't do it (macOS) it only runs the command.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_SET_SECUREBITS = 28
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_SECBIT_NO_SETUID_FIXUP = 1 << 2
_CAP_DAC_OVERRIDE = 1
_CLONE_NEWUSER = 0x10000000
_CAPABILITY_VERSION_3 = 0x20080522

CANNOT_EXECUTE = 126  # as shells have it
_PRIVATE_FILES = 0o077


class TetherError(Exception):
    """The command can't be run; the message says what to do."""


class _CapHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapData(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def main(arguments: list[str]) -> None:
    options, command = _parse(arguments)
    os.umask(_PRIVATE_FILES)
    libc = _linux_libc()
    if "unprivileged" in options and os.geteuid() == 0:
        _drop_root(options["unprivileged"], libc)
        _check_reachable(command)
    if libc is not None:
        # After the change of user: the kernel forgets the signal with the old credentials.
        libc.prctl(_PR_SET_PDEATHSIG, options["signal"], 0, 0, 0)
        if "parent" in options and os.getppid() != options["parent"]:
            sys.exit(0)  # the parent ended before the kernel could know that we depend on it
    try:
        os.execv(command[0], command)  # noqa: S606
    except OSError as error:
        raise TetherError(f"can't run {command[0]}: {error.strerror}") from error


def _linux_libc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _parse(arguments: list[str]) -> tuple[dict[str, int], list[str]]:
    split = arguments.index("--")
    options = {"signal": signal.Signals[arguments[0]].value}
    for name, value in zip(arguments[1:split:2], arguments[2:split:2], strict=True):
        options[name.removeprefix("--")] = int(value)
    return options, arguments[split + 1 :]


def _drop_root(uid: int, libc: ctypes.CDLL | None) -> None:
    """Become another user, since PostgreSQL refuses to run as root, but keep reaching files below directories of mode
    700: a checkout in /root or in a `mktemp -d` then works without changing the mode of anything."""
    try:
        if libc is not None:
            libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
            # Else access(2), with which PostgreSQL looks at its own binaries, leaves the capability out of account.
            libc.prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    except OSError as error:
        if libc is None or not _rename_root(uid, libc):
            raise TetherError(
                f"PostgreSQL refuses to run as root and user {uid} is not available here ({error.strerror}): "
                "run paysaga as an ordinary user"
            ) from error
    else:
        if libc is not None:
            _keep_file_access(libc)


def _rename_root(uid: int, libc: ctypes.CDLL) -> bool:
    """In a user namespace whose only user is root there is nobody else to become. A namespace inside it can give
    the same user another number."""
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(_CLONE_NEWUSER) != 0:
        return False
    try:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {user} 1"), ("gid_map", f"{uid} {group} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    except OSError:
        return False
    return os.geteuid() == uid


def _keep_file_access(libc: ctypes.CDLL) -> None:
    """Best effort: a container may have taken the capability away, then ordinary file modes decide."""
    bit = 1 << _CAP_DAC_OVERRIDE
    header = _CapHeader(_CAPABILITY_VERSION_3, 0)
    data = (_CapData * 2)(_CapData(bit, bit, bit), _CapData(0, 0, 0))
    capset: Callable[..., int] = libc.capset
    if capset(ctypes.byref(header), data) == 0:
        # Ambient, so that it survives the exec of a file that has no capabilities of its own.
        libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0)


def _check_reachable(command: list[str]) -> None:
    """By trying: access(2) doesn't know the capability that was kept."""
    for argument in command:
        try:
            if argument.startswith("/"):
                os.stat(argument)
        except OSError as error:
            raise TetherError(
                f"PostgreSQL refuses to run as root and user {os.geteuid()} can't reach {argument}: run paysaga as an "
                "ordinary user, or keep it and its data below directories that everybody may enter"
            ) from error


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except TetherError as problem:
        print(problem, file=sys.stderr)
        sys.exit(CANNOT_EXECUTE)
