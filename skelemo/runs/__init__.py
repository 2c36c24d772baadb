"""The run folder as a contract: written by training, read by inference, report and viewer."""
