# What a shell on the head needs while the cluster runs, read by its ~/.bashrc.
if pgrep -x gcs_server > /dev/null; then
    source ~/venv/bin/activate
    export RAY_ADDRESS=auto RAY_AUTH_MODE=token MLFLOW_TRACKING_URI=${MLFLOW_TRACKING_URI:-http://127.0.0.1:5000}
    cd ~/batchscale
fi
