"""Keys of LLaMA-Factory that need no thought: those that are ours by another name, and those left out."""

from __future__ import annotations

SAME = {
    "model_name_or_path": "model.name",
    "model_revision": "model.revision",
    "seed": "seed",
    "learning_rate": "{stage}.learning_rate",
    "num_train_epochs": "{stage}.epochs",
    "warmup_steps": "{stage}.warmup_steps",
    "weight_decay": "{stage}.weight_decay",
    "max_grad_norm": "{stage}.max_grad_norm",
    "logging_steps": "{stage}.log_every",
    "save_steps": "{stage}.save_every",
    "per_device_train_batch_size": "{stage}.micro_batch",
    "gradient_checkpointing": "{stage}.gradient_checkpointing",
    "dataloader_num_workers": "{stage}.workers",
}

_OURS = "lpt-train always does so"
_PACKING = "give sft.packing, which takes one sequence at a time, and no micro_batch"
IGNORED = {
    "stage": "chooses the command: lpt-train sft, or lpt-train dpo",
    "do_train": _OURS,
    "do_eval": "name rows as evaluation",
    "dataset": "rows are records of lpt-core: name their file as data, under the stage",
    "dataset_dir": "rows are records of lpt-core: name their file as data, under the stage",
    "eval_dataset": "name rows as evaluation, under the stage",
    "val_size": "no rows are split off at random; name rows as evaluation, under the stage",
    "template": "the model's own chat template is used",
    "output_dir": "given on the command line: --out",
    "overwrite_output_dir": "a run that was stopped goes on; another needs another folder",
    "resume_from_checkpoint": "the same line goes on where it was",
    "overwrite_cache": "there is no cache of rows",
    "preprocessing_num_workers": "rows are encoded when they are needed",
    "plot_loss": _OURS,
    "deepspeed": "given to accelerate launch",
    "fsdp": "given to accelerate launch",
    "ddp_timeout": "may be given under trainer:",
    "enable_liger_kernel": "the head is applied to the responses alone; give use_liger_kernel under trainer:",
    "image_min_pixels": "left to the model's own processor",
    "video_max_pixels": "rows have no videos",
    "video_min_pixels": "rows have no videos",
    "max_samples": "choose the rows when they are exported",
    "packing": _PACKING,
    "neat_packing": _PACKING,
    "quantization_method": "it is bitsandbytes",
    "quantization_type": "it is nf4",
    "double_quantization": "constants are always quantised, too",
    "mask_history": "a row has one turn to learn",
    "trust_remote_code": "no code of a model is run",
    "save_only_model": "checkpoints always have what resuming needs",
    "per_device_eval_batch_size": "as micro_batch",
    "warmup_ratio": "give warmup_steps",
    "ref_model": "the reference is the model that training starts from",
}
