"""What to run next: pure functions of what has finished and what is running, without Ray and MLflow."""
