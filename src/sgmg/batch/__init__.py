"""Many videos on many machines: `sgmg batch`, on Ray Data (extra ``scale``).

videos.py    what is to be done: a folder or a table of videos, each with its expressions and a name
storage.py   files here or in an object store, written so that they are there whole or not at all
stages.py    what is done with a video: read into clips, clips looked at, all of them written
pipeline.py  these stages as a stream of Ray Data, with back-pressure between them
job.py       what is left to do, what failed, what is tried again
results.py   the table of results
"""
