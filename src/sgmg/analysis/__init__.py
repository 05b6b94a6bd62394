"""Looking into networks and at their results: figures, the numbers behind them, tables of experiments."""
