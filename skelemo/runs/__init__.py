"""The files of a run folder: written by training, read by inference, report and viewer."""
