"""``lpt-eval`` with real vLLM on the CPU; run with the Python of .tools/vllm.

    python eval_in_vllm.py SITE_PACKAGES ARGUMENT...

Two environments in one process: what .tools/vllm has (vLLM, its torch and transformers) comes from there, all
else (lmms-eval, datasets) from SITE_PACKAGES, the workspace's, so that nothing need be installed twice.
"""

from __future__ import annotations

import os
import site
import sys


def main() -> None:
    """Run the command line."""
    os.environ |= {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
    # Otherwise a second process loads vLLM too.
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    site.addsitedir(sys.argv.pop(1))  # at the end of the path, with the editable packages that it names

    from lpt_eval.cli import main as lpt_eval

    lpt_eval()


if __name__ == "__main__":
    main()
