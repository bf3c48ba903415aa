"""The recipe of a run: resolve the settings, prepare the data, fit, evaluate. Read `coverslip.pipeline.run` first."""
