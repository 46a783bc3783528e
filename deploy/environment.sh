# What a shell on the head needs, read by its ~/.bashrc.
source ~/venv/bin/activate
export RAY_ADDRESS=auto RAY_AUTH_MODE=token MLFLOW_TRACKING_URI=http://127.0.0.1:5000
cd ~/batchscale
