"""A server of transformers and torch that scores candidate answers by likelihood, with simple dynamic batching.

What a Python user would write: a threaded HTTP server of the standard library, one thread that owns the model and takes whatever
waits (up to --batch questions), prompts padded into one forward pass with its cache, then the candidates of each question as one
batch behind its prompt's cache. Same model folder, same threads, same prompts and candidates as `emotune bench serve` sends.

POST /  {"questions": [{"prompt": "...", "candidates": ["...", ...]}, ...]}  ->  {"answers": [[probability, ...], ...]}
GET /   {"memoryMiB": resident memory of this process, "label": what it is}
"""

import argparse
import json
import queue
import threading
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer


class Model:
    def __init__(self, folder, compute):
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.tokenizer.padding_side = "left"
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        if compute == "int8":
            model = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)
        self.model = model
        self.candidates = {}

    def tokens_of(self, candidates):
        """Token ids of each candidate, padded: [n, longest], and which are real."""
        key = tuple(candidates)
        if key not in self.candidates:
            ids = [self.tokenizer.encode(text, add_special_tokens=False) for text in candidates]
            longest = max(map(len, ids))
            padded = torch.tensor([row + [0] * (longest - len(row)) for row in ids])
            real = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in ids])
            self.candidates[key] = padded, real
        return self.candidates[key]

    @torch.inference_mode()
    def score(self, questions):
        encoded = self.tokenizer(
            [q["prompt"] for q in questions], return_tensors="pt", padding=True, add_special_tokens=False
        )
        mask = encoded["attention_mask"]
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        out = self.model(input_ids=encoded["input_ids"], attention_mask=mask, position_ids=positions, use_cache=True)
        first = out.logits[:, -1].log_softmax(-1)
        legacy = [(layer.keys, layer.values) for layer in out.past_key_values.layers]
        answers = []
        for i, question in enumerate(questions):
            ids, real = self.tokens_of(question["candidates"])
            scores = first[i, ids[:, 0]]
            if ids.shape[1] > 1:
                scores = scores + self.rest(legacy, i, mask[i], ids, real)
            answers.append(scores.softmax(0).tolist())
        return answers

    def rest(self, legacy, i, mask, ids, real):
        """Log-probability of every candidate's tokens after its first."""
        n = ids.shape[0]
        past = transformers.DynamicCache()
        for layer, (keys, values) in enumerate(legacy):
            past.update(keys[i : i + 1].expand(n, -1, -1, -1), values[i : i + 1].expand(n, -1, -1, -1), layer)
        begun = ids[:, :-1]
        whole = torch.cat([mask.expand(n, -1), real[:, :-1]], 1)
        positions = mask.sum() + torch.arange(begun.shape[1]).expand(n, -1)
        out = self.model(
            input_ids=begun, attention_mask=whole, position_ids=positions, past_key_values=past, use_cache=True
        )
        chosen = out.logits.log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0]
        return (chosen * real[:, 1:]).sum(1)


def work(model, waiting, most):
    """Takes what waits, at most so many questions, whenever the model is free."""
    while True:
        calls = [waiting.get()]
        while sum(len(questions) for questions, _ in calls) < most:
            try:
                calls.append(waiting.get_nowait())
            except queue.Empty:
                break
        try:
            answers = model.score([q for questions, _ in calls for q in questions])
        except Exception as error:
            for _, future in calls:
                future.set_exception(error)
            continue
        for questions, future in calls:
            future.set_result(answers[: len(questions)])
            answers = answers[len(questions) :]


def memory_mib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compute", choices=["fp32", "int8"], default="fp32")
    parser.add_argument("--batch", type=int, default=16)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = Model(args.folder, args.compute)
    waiting = queue.Queue()
    threading.Thread(target=work, args=(model, waiting, args.batch), daemon=True).start()
    label = f"transformers {transformers.__version__}, torch {torch.__version__}, {args.compute}, {args.threads} threads"

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def answer(self, value):
            body = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            self.answer({"memoryMiB": memory_mib(), "label": label})

        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            future = Future()
            waiting.put((request["questions"], future))
            self.answer({"answers": future.result()})

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 1024

    server = Server(("127.0.0.1", args.port), Handler)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
