#!/usr/bin/env bash
# MLflow's server on the head, for as long as Ray runs there. It listens on this machine only. All that it has lies in
# ~/mlflow, and one that runs already is left alone. Returns when the server answers.
set -euo pipefail
if [ "${1:-}" != serve ]; then
    mkdir -p ~/mlflow
    setsid nohup flock -w 30 ~/mlflow/lock bash "$0" serve >> ~/mlflow/server.log 2>&1 < /dev/null &
    for _ in $(seq 120); do
        if (: < /dev/tcp/127.0.0.1/5000) 2> /dev/null; then exit; fi
        sleep 1
    done
    tail -n 5 ~/mlflow/server.log >&2
    exit 1
fi
# Without the server's own jobs, which are not used, and with one worker, it is two processes instead of ten.
MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_DISABLE_TELEMETRY=true ~/venv/bin/mlflow server --host 127.0.0.1 \
    --port 5000 --workers 1 --backend-store-uri "sqlite:///$HOME/mlflow/mlflow.db" \
    --artifacts-destination "$HOME/mlflow/artifacts" &
while pgrep -x gcs_server > /dev/null; do sleep 1; done
kill 0
