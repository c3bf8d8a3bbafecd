"""Text of a causal language model as it is written: chat template, streaming, cancel, time limit."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import Empty
from threading import Event, Thread
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    StoppingCriteria,
    StoppingCriteriaList,
    TextIteratorStreamer,
)

# Between two tokens; a model that gives none for so long has failed.
SECONDS_A_TOKEN = 30.0


class GenerationError(RuntimeError):
    """The model raised, or gave no token in time."""


class _Cancelled(StoppingCriteria):
    def __init__(self, cancel: Event) -> None:
        self.cancel = cancel

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> Any:
        return torch.full((input_ids.shape[0],), self.cancel.is_set(), dtype=torch.bool, device=input_ids.device)


class TextGenerator:
    """A causal language model of a local folder with a chat template. Nothing is fetched, and no code of the folder is
    run."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        if not self.tokenizer.chat_template:
            raise GenerationError(f"the model in {folder.name} has no chat template")
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        model = AutoModelForCausalLM.from_pretrained(str(folder), local_files_only=True, dtype="auto")
        self.model: Any = model.eval()
        self.model.to(self.device)
        self.window = int(getattr(self.model.config, "max_position_embeddings", 4096))
        self.was_cut_off = False
        self.tokens_used: int | None = None

    def stream(
        self, messages: Sequence[dict[str, str]], *, cancel: Event, most_tokens: int, seconds: float
    ) -> Iterator[str]:
        """Pieces of the answer to `messages` ({role, content}), greedily chosen; afterwards `was_cut_off` says whether
        tokens or time ended it before the model did, and `tokens_used` how many it has read and written. Raises
        GenerationError, also where the messages leave no room for `most_tokens`: a model that is told a part of them
        could miss its rules.
        """
        encoded: Any = self.tokenizer.apply_chat_template(
            list(messages), add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        self.tokens_used = None
        asked = encoded["input_ids"].shape[1]
        if asked + most_tokens > self.window:
            raise GenerationError(
                f"{asked} tokens leave no room for {most_tokens} in a window of {self.window}: take a larger model"
            )
        prompt = {name: tensor.to(self.device) for name, tensor in encoded.items()}
        streamer = TextIteratorStreamer(
            self.tokenizer, skip_prompt=True, skip_special_tokens=True, timeout=SECONDS_A_TOKEN
        )
        outcome: dict[str, Any] = {}
        thread = Thread(
            target=self._generate, args=(prompt, streamer, cancel, most_tokens, seconds, outcome), daemon=True
        )
        thread.start()
        try:
            yield from streamer
        except Empty:
            raise GenerationError("the model gave no token in time") from None
        finally:
            # Whoever stops reading stops the model, too.
            cancel.set()
            thread.join(timeout=SECONDS_A_TOKEN)
        if "error" in outcome:
            raise GenerationError(str(outcome["error"])) from outcome["error"]
        self.was_cut_off = not outcome["ended"]
        self.tokens_used = outcome["tokens"]

    def _generate(
        self,
        prompt: dict[str, torch.Tensor],
        streamer: TextIteratorStreamer,
        cancel: Event,
        most_tokens: int,
        seconds: float,
        outcome: dict[str, Any],
    ) -> None:
        """An error would leave the reader waiting, so it is kept and the stream ended."""
        try:
            with torch.inference_mode():
                written = self.model.generate(
                    **prompt,
                    streamer=streamer,
                    stopping_criteria=StoppingCriteriaList([_Cancelled(cancel)]),
                    max_new_tokens=most_tokens,
                    max_time=seconds,
                    do_sample=False,
                )
            # The prompt and what follows it.
            outcome["tokens"] = int(written.shape[1])
            outcome["ended"] = int(written[0, -1]) in _ends(self.model.generation_config.eos_token_id)
        except Exception as error:
            outcome["error"] = error
            streamer.end()


def _ends(token: int | list[int] | None) -> set[int]:
    return set() if token is None else {token} if isinstance(token, int) else set(token)
