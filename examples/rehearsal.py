"""The whole of lpt-synth on three drawn pictures, with a script in the place of the models.

    uv run examples/rehearsal.py

No GPU, no key, no network: a server on this machine answers by rule where a run would ask three models.
What it says teaches nothing; that it goes through is what is shown: captions in, questions, short thoughts,
continuations, verified training sets out, by the same commands as any run.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from PIL import Image, ImageDraw

COLOURS = {"red": "#d0342c", "green": "#2e8b57", "blue": "#2b5fb4", "yellow": "#e6b800"}
PLACES = {"left": 60, "middle": 160, "right": 260}


def draw(folder: Path) -> None:
    """Three pictures of three discs each, and captions that tell what is where."""
    for number, colours in enumerate((("red", "green", "blue"), ("blue", "yellow", "red"), ("green",) * 3)):
        image = Image.new("RGB", (320, 120), "white")
        for colour, x in zip(colours, PLACES.values(), strict=True):
            ImageDraw.Draw(image).ellipse((x - 40, 20, x + 40, 100), fill=COLOURS[colour])
        image.save(folder / f"scene{number}.png")
        says = " ".join(f"On the {place} is a {c} disc." for place, c in zip(PLACES, colours, strict=True))
        (folder / f"scene{number}.txt").write_text(says)


def answer(model: str, said: str, seed: int) -> str:
    """What the stand-in for a model says."""
    rng = random.Random(f"{model} {seed} {said}")
    if model == "asker":
        scene = dict(re.findall(r"On the (\w+) is a (\w+) disc", said))
        choices = " ".join(f"({letter}) {c}" for letter, c in zip("ABCD", COLOURS, strict=True))
        return "\n".join(
            f"<question> What colour is the disc on the {place}? </question> <choices> {choices} </choices> "
            f"<answer> {colour} </answer> <type> Recognition </type>"
            for place, colour in scene.items()
        )
    options = re.findall(r"^\(?([A-D])[).] (\w+)$", said, re.MULTILINE)
    if model == "thinker":  # it cannot see: it guesses
        letter, colour = rng.choice(options)
        look = rng.choice(["At a glance", "At first sight", "From here", "If I am not wrong,", "To me"])
        return f" {look} the disc looks {colour}.</think> <answer>({letter})</answer>"
    place = re.findall(r"disc on the (\w+)\?", said)[-1]
    truth = dict(re.findall(r"On the (\w+) is a (\w+) disc", said))[place]
    letter = next(letter for letter, colour in options if colour == truth)
    look = rng.choice(["let me look again", "I should check", "a second look", "not so fast", "is that so?"])
    return f" {look}. On the {place} I see {truth}.</think> <answer>({letter})</answer>"


class Stand(BaseHTTPRequestHandler):
    """An OpenAI-compatible endpoint around ``answer``."""

    def do_POST(self) -> None:
        """Answer a chat completion."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        parts = [message["content"] for message in body["messages"]]
        said = "\n".join(p if isinstance(p, str) else "".join(q.get("text", "") for q in p) for p in parts)
        if "disc" not in said:  # lpt-synth asks once whether a begun answer is continued
            return self.reply(422, {"error": {"message": "this stand-in knows discs and nothing else"}})
        texts = [answer(body["model"], said, body.get("seed", 0) + i) for i in range(body.get("n") or 1)]
        choices = [
            {"index": i, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
            for i, text in enumerate(texts)
        ]
        return self.reply(200, {"model": body["model"], "choices": choices})

    def reply(self, status: int, body: dict[str, object]) -> None:
        """Send JSON."""
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def lpt_synth(folder: Path, *arguments: str) -> None:
    """Run a command of lpt-synth, showing it."""
    print("\n$ lpt-synth", *arguments, flush=True)
    subprocess.run([sys.executable, "-m", "lpt_synth", *arguments], cwd=folder, check=True)


def main() -> None:
    """Draw, serve, run, export."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="lpt-rehearsal-"))
    (folder / "scenes").mkdir(parents=True)
    draw(folder / "scenes")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stand)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/v1"
    models = [part for role in ("asker", "thinker", "expander") for part in (f"--{role}", role)]
    config = ["init", "rehearsal.yaml", "--captions", "scenes", "--base-url", url, *models]
    lpt_synth(folder, *config)
    lpt_synth(folder, "plan", "rehearsal.yaml", "--out", "run")
    lpt_synth(folder, "run", "rehearsal.yaml", "--out", "run")
    lpt_synth(folder, "export", "run", "--format", "trl", "--to", "trl")
    example = json.loads((folder / "run" / "sets" / "sft.jsonl").read_text().splitlines()[0])
    print("\nThe first training example says, after its picture and its question:\n")
    print("".join(segment["text"] for segment in example["response"]))
    print(f"\nAll of it lies in {folder}")
    server.shutdown()


if __name__ == "__main__":
    main()
