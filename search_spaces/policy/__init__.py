"""Search policies: pure functions of the finished and running runs that give the next run, without Ray and MLflow."""
