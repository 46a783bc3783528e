"""What all drawings have in common: colours, and how far down scores are drawn."""

BLACK, BLUE, GREEN, VERMILLION, GREY = "#000000", "#0072B2", "#009E73", "#D55E00", "#767676"
"""Colours that people with any colour vision tell apart (Okabe and Ito 2008), and a grey. Each has a contrast of at
least 3 to 1 against white."""
SHADE = 0.14
"""The opacity of intervals. Marks have a black outline, which stands out there."""
TOLERANCES_BELOW = 6.0
"""How far below A0 the score axis reaches, in tolerances. Runs below that are drawn at its end."""
