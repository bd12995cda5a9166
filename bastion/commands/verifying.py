"""Proving a journal's files without a bastion."""

from __future__ import annotations

from pathlib import Path

from bastion.api import messages as m

from .words import WRONG_USAGE, CommandFailed


def verify_files(
    folder: Path,
    public_key: Path | None,
    anchor: Path | None,
    store_url: str | None = None,
    recordings: Path | None = None,
) -> m.Proof:
    """What the journal in `folder` proves, and whether store and recordings say the same, where they are given.

    Raises CommandFailed where there is nothing to look at.
    """
    from bastion.audit import chain, comparison, verify
    from bastion.store.store import Store, StoreUnusable

    try:
        key = None if public_key is None else chain.read_public_key(public_key)
        proof = verify.verify(folder, key, anchor, recordings)
        if store_url is None:
            return proof
        store = Store.open(store_url)
        try:
            return comparison.with_store(proof, store, folder)
        finally:
            store.close()
    except StoreUnusable as error:
        raise CommandFailed(str(error), WRONG_USAGE) from error
    except (verify.NothingToVerify, chain.AnchorUnreadable, chain.KeyUnreadable) as error:
        raise CommandFailed(str(error), WRONG_USAGE) from error
    except OSError as error:
        raise CommandFailed(f"{error.filename or folder} cannot be read: {error.strerror}.", WRONG_USAGE) from error
