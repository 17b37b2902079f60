#!/usr/bin/env bash
#SBATCH --job-name=lpt-synth
#SBATCH --array=1-@SHARDS@
#SBATCH --cpus-per-task=4
#SBATCH --mem=32G
#SBATCH --time=24:00:00
# For an engine in the process, or a server that this job starts:
##SBATCH --gres=gpu:1
# Five minutes before the end: what is under way is finished and kept.
#SBATCH --signal=B:TERM@300
#SBATCH --output=%x-%A_%a.log
#
# Submit with sbatch. What was stopped, killed or has failed goes on when it is submitted again; single
# tasks with sbatch --array=3,5. When all are done:
#   lpt-synth merge @OUT@
set -euo pipefail

CONFIG=@CONFIG@
OUT=@OUT@
SHARDS=@SHARDS@ # as the array has tasks; a fixed number, since Slurm counts only those of one submission

# Modules and environments are loaded here, for example: source ~/venvs/lpt/bin/activate
command -v lpt-synth >/dev/null || {
  echo "error: lpt-synth is not on the PATH of $(uname -n); activate its environment in this script" >&2
  exit 2
}

# exec, so that Slurm's signal reaches lpt-synth itself.
exec lpt-synth run "$CONFIG" --out "$OUT" --shard "$SLURM_ARRAY_TASK_ID/$SHARDS"
