"""What was found: runs read back from MLflow, verdicts, edges, the law, the report."""
