"""What is promised to hold under misuse, struck on purpose: processes killed, clients crowding, requests and files that are hostile.

`make hammer` runs all of it on this machine alone and writes results/hammer.json, which the page *What you can trust*
shows. Everything is drawn from a seed; what is struck at which moment is not, since that is left to the clock.
"""
