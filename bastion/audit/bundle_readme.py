# ruff: noqa: E501 - a text for people, whose tables have long lines
"""What a bundle of evidence says of itself to whoever opens it."""

from __future__ import annotations

README = """\
# A bundle of evidence

One database session that went through a Casemate bastion, with the proof that it is whole and unchanged.

| file | what |
| --- | --- |
| `journal.lines` | the bastion's journal from the checkpoint before the session to the one behind it. The session's records are there as they were written; of all others only a hash that says nothing of them. **This is the evidence** |
| `recordings/` | what the database returned, and the screen, as they lay encrypted on the bastion; the journal holds the last link of their hash chain. Their keys are in `bundle.json` |
| `session.json`, `statements.jsonl`, `results.jsonl`, `screens/` | the same for people: the session, a statement a line, results decoded, a screen as an asciicast (asciinema 3 plays it). A screen shows the whole workstation, so other work of the same person may be on it |
| `bundle.json`, `bundle.sig` | which records are the session's, SHA-256 of every file, and the node's Ed25519 signature over that |
| `node.pub` | the node's public key. Compare it with one that did not come with the bundle |
| `verify.py` | checks all of it. A copy that came with the bundle proves little to a sceptic: take it from Casemate's source, or write your own from below |

    python3 verify.py BUNDLE.zip --key node.pub [--anchor checkpoint.json]

needs Python 3.11 and the package `cryptography` (and `zstandard`, to compare a screen with its recording). `casemate audit verify --bundle BUNDLE.zip
--public-key node.pub` does the same. Exit code 0: it holds; 1: it does not, and the first thing that does not is named.

## To write a verifier

`||` is concatenation, `u32` and `u64` are big-endian, `f(x)` is `u32(length of x) || x`. A line is one of

    number SP hash SP blind SP record LF      shown: blind is 32 hexadecimal digits, record a JSON object
    number SP hash SP leaf LF                 not shown

    leaf(n) = SHA-256( 0x00 || blind || SP || record )                      of a record that is shown
    hash(n) = SHA-256( 0x01 || hash(n-1) || leaf(n) || u64(n) )

1. The numbers follow each other, and each hash is as computed. The first line is a record of kind `checkpoint`, whose member `hash` is the hash before
   it; or it has the number 1, and the hash before it is `SHA-256( f("casemate.journal.v1") || f(node) )`.
2. Every `checkpoint` has `number` = its own less one and `hash` = the hash before it; its `signature` (base64) is Ed25519 over
   `f("casemate.journal.checkpoint.v1") || f(node) || f(u64(number)) || f(32 bytes of the hash) || f(at)`. The last line is one: nothing can have been cut off
   before it, and a checkpoint that was kept elsewhere (an anchor) with the same number has the same hash.
3. Beside checkpoints exactly the numbers of `records` in `bundle.json` are shown. The statements (`statement-sent`, `statement-refused`) of the session are
   numbered (`seq`) from 1 without a gap, and `session-closed` says how many there were.
4. `bundle.sig` is Ed25519, in base64, over `f("casemate.bundle.v1") || f(bytes of bundle.json)`. `files` names every other file with its SHA-256.
5. A recording is `"CASEMATE RECORDING 1\\n" || u32 length || header || chunk …`, a chunk is `head (32 bytes) || body || link (32 bytes)`; the body's length is
   the head's first `u32`. link = SHA-256(link before || head || body), the first one behind SHA-256("casemate.recording.v1" || the file up to the end of its header). The last
   one is the `hash` of the session's last `recording` record here. A body opens with AES-256-GCM: key from `bundle.json`, nonce `u32(0) || u64(number of the chunk)`,
   associated data = id || head; it is zstd of MessagePack.

What 1 to 3 and 5 prove rests on the chain alone. That `statements.jsonl`, `results.jsonl` and `session.json` say the same is the node's word (4).
"""
