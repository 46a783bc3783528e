"""The analysis of a study's runs: reading them from MLflow, verdicts, edges, the scaling law, the report."""
