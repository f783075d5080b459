"""The page in a real browser, over a real watcher and a real log.

What is where: live arrival, the pill, states of a session as it goes on, what was missed:
test_live. Sessions, tools, subagents, payloads, paging: test_reading. Every filter: test_filters.
Search to the turn, the call, the thought: test_searching. The token, hostile text, no JavaScript,
health broken and well again: test_guarded. Keyboard only, 400 pixels, axe, the theme: test_reach.
"""
