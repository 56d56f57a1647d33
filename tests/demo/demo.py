"""A private conversation through a relay that reads, keeps and changes whatever it likes: `make demo`.

A software NSM, a server on it, a user in a directory of their own, and the relay between them. Each step prints who did
what and what came of it, in the commands' own words. Exit status 0: every honest step worked, every attack was caught,
and what cannot be caught was not.
"""

import contextlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

import relay  # noqa: E402
from helpers.server import BUILD, PATIENCE, RUNNER, Server, clean_environment  # noqa: E402
from helpers.simulator import Simulator  # noqa: E402

WIDTH = 118
OURS, THEIRS = "a77e57d0" * 12, "bad0bad0" * 12  # PCR0 of our image and of the relay's
WORKS, CAUGHT, PASSES, UNSEEN, FAILED = "works", "CAUGHT", "passes, loudly", "cannot be detected", "FAILED"


class Failed(Exception):
    """A step did not end as it must."""


def expect(true, what):
    if not true:
        raise Failed(what)


# ---- the transcript ----


def wrapped(text, first, rest):
    print(textwrap.fill(text, WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False,
                        break_on_hyphens=False), flush=True)


def tell(who, text):
    """Who does what."""
    wrapped(text, f"  {who:<8}", " " * 12)


def quote(text):
    """What a command or the server says."""
    wrapped(" ".join(text.split()), " " * 10 + "| ", " " * 10 + "| ")


def paragraph(text, *words):
    """The part of a command's output in which these words stand."""
    for part in re.split(r"\n\n|\n(?=attestd |VERIFIED: |session_id )", text):
        if all(word in part for word in words):
            return part
    raise Failed(f"expected {words}: {text}")


def short(value, *names):
    """A JSON object, or these members of it, with what is long cut."""
    value = {name: value[name] for name in names or value}
    return json.dumps({k: v[:12] + "..." if isinstance(v, str) and len(v) > 40 else v for k, v in value.items()})


# ---- who takes part ----


class User:
    """Somebody who has `attestd`, the root certificate, PCR0 of the image that they want, and a directory."""

    def __init__(self, directory, root):
        self.directory = directory
        directory.mkdir()
        shutil.copy(root, directory / "root.pem")
        self.policy = ("--root", "root.pem", "--pcr", f"0={OURS}")

    def run(self, *words, given=None, shown=""):
        """`attestd WORDS`: exit status, standard output, standard error. given: its input, and `shown` how it came."""
        tell("user", f"$ {shown}attestd " + " ".join(words).replace(OURS, OURS[:8] + "..."))
        p = subprocess.run([*RUNNER, str(BUILD / "attestd"), *words], cwd=self.directory, env=clean_environment(),
                           input=given or "", capture_output=True, text=True, timeout=60 * PATIENCE)
        return p.returncode, p.stdout, p.stderr

    def open(self, name, *more, url, policy=None):
        """`session open`: exit status and all that it says."""
        status, out, err = self.run("session", "open", "--url", url, "--out", name,
                                    *(self.policy if policy is None else policy), *more)
        expect((self.directory / name).exists() == (status == 0), "a session file is there if and only if all is well")
        return status, f"{out}\n{err}"

    def seal(self, text, session="chat.session"):
        """The message that the user sends."""
        status, out, err = self.run("session", "encrypt", "--session", session, given=text, shown=f"printf '{text}' | ")
        expect(status == 0, err)
        return json.loads(out)

    def unseal(self, message, session="chat.session"):
        """Exit status, and the text or the sentence that says why there is none."""
        status, out, err = self.run("session", "decrypt", "--session", session, given=json.dumps(message),
                                    shown="cat message.json | ")
        expect(status == 0 or out == "", "a message that is refused shows nothing")
        quote(out if status == 0 else err)
        return status, out if status == 0 else err


class Agent:
    """The program in an enclave, which knows the server at its local address."""

    def __init__(self, server, name="agent"):
        self.server = server
        self.name = name

    def take(self, message):
        """POST /decrypt: its status, and the text or why there is none."""
        reply = self.server.post("/decrypt", {k: message[k] for k in ("session_id", "ciphertext", "iv")})
        tell(self.name, f"POST /decrypt {short(message)}")
        said = reply.json()["plaintext"] if reply.status == 200 else f"{reply.status}: {reply.json()['detail']}"
        quote(said)
        return reply.status, said

    def say(self, session_id, text):
        reply = self.server.post("/encrypt", {"session_id": session_id, "plaintext": text})
        expect(reply.status == 200, reply)
        tell(self.name, f"POST /encrypt '{text}': {short(reply.json())}")
        return reply.json()


class Scene:
    """Everybody, and the steps."""

    def __init__(self, directory, at_end):
        """at_end: an ExitStack that ends whatever was started."""

        def enclave(name, pcr0):
            nsm = Simulator(directory / f"{name}-nsm", "--pcr", f"0={pcr0}")
            at_end.callback(nsm.remove)
            at_end.callback(nsm.start().stop)
            server = Server(directory / name, nsm=nsm.nsm, settings={"public_listen": "127.0.0.1:0", "log_level": "warn"})
            at_end.callback(server.start().stop)
            return nsm.root, server

        root, self.server = enclave("ours", OURS)
        self.their_root, self.theirs = enclave("theirs", THEIRS)
        self.relay = relay.Relay(self.server.public)
        at_end.callback(self.relay.close)
        self.agent = Agent(self.server)
        self.user = User(directory / "user", root)

    def refused(self, status, said, *words):
        """`session open` said no, and why."""
        expect(status == 1, f"exit status {status}: {said}")
        quote(paragraph(said, *words))
        return CAUGHT

    def open(self, name, *more, **how):
        return self.user.open(name, *more, url=self.relay.url, **how)

    # ---- honest ----

    def an_honest_relay(self):
        """The relay hands everything on. The session works both ways."""
        status, said = self.open("chat.session")
        expect(status == 0, said)
        quote(paragraph(said, "VERIFIED: "))
        quote(paragraph(said, "Opened."))
        tell("relay", "keeps a copy of all that passes: " +
             short(self.relay.seen[0][1], "session_id", "encrypted_session_key", "session_key_hash", "user_key_hash"))
        self.session_id = self.relay.seen[0][1]["session_id"]
        self.asked = self.user.seal("Is anyone listening?")
        expect(self.agent.take(self.asked) == (200, "Is anyone listening?"), "the agent reads what the user wrote")
        self.answer = self.agent.say(self.session_id, "Someone is, and hears noise.")
        status, text = self.user.unseal(self.answer)
        expect((status, text) == (0, "Someone is, and hears noise."), text)
        return WORKS

    # ---- the opening ----

    def a_swapped_key(self):
        """The relay gives the enclave a key of its own, unwraps the session key, and wraps it again for the user. All else
        it hands on untouched: signature, PCRs, nonce and the hash of the session key are all in order."""
        attack = self.relay.attack = relay.SwapKeys(self.relay)
        status, said = self.open("swapped.session")
        tell("relay", f"has the session key, which was wrapped for it: {len(attack.session_key)} bytes")
        return self.refused(status, said, "relay attack", "user_key_hash")

    def a_rewritten_scope(self):
        """The user asks for a session of one conversation, and the relay for one of its own conversation with the same agent.
        Keys, nonce and document are all in order. In its own conversation it could hand the agent what the user writes,
        and be told what it says. Nor may it leave the scope out, or add one where there is none."""
        for scope, asked, words in (("relays-chat", "users-chat", "rewrote it"), (None, "users-chat", "dropped your scope"),
                                    ("relays-chat", None, "added a scope")):
            tell("relay", "leaves the scope out" if scope is None else f"asks for the scope {scope}")
            self.relay.attack = relay.rescoped(self.relay, scope)
            status, said = self.open("rescoped.session", *(() if asked is None else ("--scope", asked)))
            result = self.refused(status, said, "scope_hash", words)
        return result

    def another_enclave(self):
        """The relay answers with an enclave of its own, which is as genuine, but runs another image. AWS has one root for
        everybody's enclaves; simulators have one each, so for this step the user trusts the one of the relay's."""
        shutil.copy(self.their_root, self.user.directory / "relays-root.pem")
        policy = ("--root", "relays-root.pem", "--pcr", f"0={OURS}")
        self.relay.attack = relay.other_enclave(self.relay, self.theirs.public)
        status, said = self.open("other.session", policy=policy)
        return self.refused(status, said, "NOT VERIFIED", "pcr_mismatch")

    def another_enclave_without_a_pin(self):
        """The same, and the user does not say which enclave is wanted."""
        self.relay.attack = relay.other_enclave(self.relay, self.theirs.public)
        status, said = self.open("other.session", policy=("--root", "relays-root.pem"))
        expect(status == 2, said)
        quote(paragraph(said, "--pcr 0=HEX"))
        return CAUGHT

    def any_enclave(self):
        """The same, and the user insists. It passes, and whoever runs that enclave reads the conversation."""
        self.relay.attack = relay.other_enclave(self.relay, self.theirs.public)
        status, said = self.open("any.session", "--any-enclave", policy=("--root", "relays-root.pem"))
        expect(status == 0, said)
        quote(paragraph(said, "WARNING: --any-enclave"))
        quote(paragraph(said, "VERIFIED: "))
        message = self.user.seal("Now you can read this.", "any.session")
        expect(Agent(self.theirs, "relay").take(message) == (200, "Now you can read this."), "the relay reads it")
        return PASSES

    def an_old_exchange(self):
        """The relay answers with a reply that it kept, made for the same key of the same user: they brought it along with
        --key, where --url makes one for each session."""
        status, said, err = self.user.run("session", "keygen", "--out", "key.pem")
        expect(status == 0, err)
        status, said = self.open("first.session", "--key", "key.pem")
        expect(status == 0, said)
        tell("relay", "forwarded that one honestly, and gives its reply again")
        self.relay.attack = relay.old_exchange(self.relay.seen[-1][1])
        status, said = self.open("second.session", "--key", "key.pem")
        return self.refused(status, said, "NOT VERIFIED", "nonce_mismatch")

    def a_late_reply(self):
        """The relay holds the reply back for longer than the user allows a document to be old."""
        self.relay.attack = relay.late(self.relay, 2.2)
        status, said = self.open("late.session", "--max-age", "1")
        return self.refused(status, said, "NOT VERIFIED", "document_too_old")

    # ---- messages ----

    def not_opened(self, message, *words):
        status, said = self.user.unseal(message)
        expect(status == 1 and all(w in said for w in words), f"exit status {status}: {said}")
        return CAUGHT

    def not_taken(self, message, status):
        took, said = self.agent.take(message)
        expect(took == status, said)
        return CAUGHT

    def a_replay_to_the_user(self):
        """The relay delivers the agent's answer once more."""
        return self.not_opened(self.answer, "replay")

    def a_replay_to_the_agent(self):
        """The relay delivers the user's message once more."""
        return self.not_taken(self.asked, 409)

    def a_reflection_to_the_user(self):
        """The relay returns the user's own message, in the form of an answer."""
        return self.not_opened({**self.asked, "message_number": 3}, "your own", "came back")

    def a_reflection_to_the_agent(self):
        """The relay returns the agent's own answer, in the form of a message of the user's."""
        return self.not_taken(self.answer, 409)

    def a_new_number(self):
        """The relay writes another number on a fresh answer, so that it passes for a later one."""
        self.fresh = self.agent.say(self.session_id, "Transfer nothing.")
        return self.not_opened(relay.renumbered(self.fresh, 5), "renumbered")

    def a_new_number_throughout(self):
        """It writes it into the IV, too."""
        return self.not_opened(relay.renumbered_throughout(self.fresh, 5), "altered")

    def a_cut(self):
        """The relay leaves off the end: of an answer, and of what the user writes."""
        self.not_opened(relay.truncated(self.fresh, 3), "altered")
        return self.not_taken(relay.truncated(self.user.seal("Pay 5. Not 500."), 9), 400)

    def the_message_itself(self):
        """None of these used it up: what the agent really said can still be read."""
        status, text = self.user.unseal(self.fresh)
        expect((status, text) == (0, "Transfer nothing."), text)
        return WORKS

    def an_old_answer(self):
        """The relay holds an answer back until a later one was read."""
        old, new = (self.agent.say(self.session_id, text) for text in ("Wait.", "Go."))
        expect(self.user.unseal(new) == (0, "Go."), "the later one is read")
        return self.not_opened(old, "comes too late")

    def a_withheld_message(self):
        """The relay throws a message away. No check can tell that from an agent that has not answered; a user who misses an
        answer has to ask, and an agent must not take silence for consent. The next message is read as if nothing were."""
        self.agent.say(self.session_id, "Do not sign that.")
        tell("relay", "throws it away")
        status, text = self.user.unseal(self.agent.say(self.session_id, "Anything else?"))
        expect((status, text) == (0, "Anything else?"), text)
        return UNSEEN

    def reordered_messages(self):
        """The relay delivers two messages of the user's in another order. Their IVs are random and hold no number, so the
        agent takes both; where the order matters, a user numbers them in the text."""
        first, second = self.user.seal("Sell nothing."), self.user.seal("Forget what I wrote before.")
        tell("relay", "delivers the second one first")
        for message, text in ((second, "Forget what I wrote before."), (first, "Sell nothing.")):
            expect(self.agent.take(message) == (200, text), "the agent reads both")
        return UNSEEN

    def the_end(self):
        """The user wipes the session file. The agent ends the session."""
        status, said, err = self.user.run("session", "close", "--session", "chat.session")
        expect(status == 0 and not (self.user.directory / "chat.session").exists(), said + err)
        expect(self.server.delete(f"/sessions/{self.session_id}").status in (200, 204), "the session is ended")
        return WORKS

    STEPS = (
        an_honest_relay, a_swapped_key, a_rewritten_scope, another_enclave, another_enclave_without_a_pin, any_enclave,
        an_old_exchange, a_late_reply, a_replay_to_the_user, a_replay_to_the_agent, a_reflection_to_the_user,
        a_reflection_to_the_agent, a_new_number, a_new_number_throughout, a_cut, the_message_itself, an_old_answer,
        a_withheld_message, reordered_messages, the_end)


def play(scene):
    """Runs the steps up to the first that fails; what became of each."""
    results = []
    for n, step in enumerate(Scene.STEPS, 1):
        name = step.__name__.replace("_", " ")
        print(f"\n{n}. {name[0].upper() + name[1:]}")
        wrapped(" ".join(step.__doc__.split()), "  ", "  ")
        scene.relay.attack = None
        try:
            result = step(scene)
        except Failed as e:
            quote(str(e))
            result = FAILED
        print(f"  => {result}", flush=True)
        results.append((name, result))
        if result == FAILED:
            break
    return results


def main():
    began = time.monotonic()
    with contextlib.ExitStack() as at_end:
        directory = Path(at_end.enter_context(tempfile.TemporaryDirectory(prefix="attestd-demo-")))
        wrapped("A server in an enclave, a user in a directory of their own, and between them a relay through which all goes "
                "and which may do what it likes. Only the NSM is simulated: it signs under a root of its own, not AWS's.",
                "", "")
        results = play(Scene(directory, at_end))
    print("\nIn short:")
    for name, result in results:
        print(f"  {name:<34}{result}")
    print(f"{time.monotonic() - began:.1f} s")
    return 1 if results[-1][1] == FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
