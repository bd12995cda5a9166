"""Passwords: the rules for new ones, and argon2id hashes, made and checked in threads of their own."""

from __future__ import annotations

import asyncio
import unicodedata
from concurrent.futures import ThreadPoolExecutor

import argon2

SHORTEST, LONGEST = 8, 128
"""Characters."""

TRIED_AT_MOST = 1024
"""Characters of a password that somebody tries; a longer one is wrong without being looked at."""

THREADS = 2
"""Checks at one time: each takes 64 MiB and a core for some 50 ms."""

_hasher = argon2.PasswordHasher()  # argon2id, RFC 9106 section 4, second recommendation


def weakness(password: str) -> str | None:
    """What is wrong with a new password, None when it is good: 8-128 characters of all four classes."""
    if not SHORTEST <= len(password) <= LONGEST:
        return f"a password has {SHORTEST} to {LONGEST} characters"
    if any(unicodedata.category(character) == "Cc" for character in password):
        return "a password has no control characters"
    classes = (
        any(character.isupper() for character in password),
        any(character.islower() for character in password),
        any(character.isdigit() for character in password),
        any(not character.isalnum() for character in password),
    )
    if not all(classes):
        return "a password has upper case, lower case, a digit and another character"
    return None


def hash_password(password: str) -> str:
    """The argon2id hash as a PHC string. Takes some 50 ms: not for the event loop."""
    return _hasher.hash(password)


def is_hash(text: str) -> bool:
    """Whether it is an argon2id hash that `matches` can check."""
    try:
        return argon2.extract_parameters(text).type is argon2.Type.ID
    except argon2.exceptions.InvalidHashError:
        return False


def matches(stored: str, password: str) -> bool:
    """Whether the password is the one behind the hash."""
    try:
        return _hasher.verify(stored, password)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False


def is_outdated(stored: str) -> bool:
    """Whether the hash was made with weaker parameters than today's."""
    return _hasher.check_needs_rehash(stored)


class PasswordChecks:
    """Checks passwords off the event loop, as long for a user without a password as for one with."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="passwords")
        self._nobody = self._threads.submit(hash_password, "nobody's password")

    async def check(self, stored: str | None, password: str) -> bool:
        """Whether the password is right; False, after the same work, where there is no hash."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._check, stored, password)

    async def rehash(self, password: str) -> str:
        """A hash with today's parameters."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, hash_password, password)

    def _check(self, stored: str | None, password: str) -> bool:
        if stored is not None:
            return matches(stored, password)
        matches(self._nobody.result(), password)
        return False

    def close(self) -> None:
        """Ends the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
