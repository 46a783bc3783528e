"""The code that runs a plan: the command line, Ray Tune, Optuna's storage, MLflow, and what is printed."""
