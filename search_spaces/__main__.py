"""`python -m search_spaces` lists the studies."""

from search_spaces.service.program import print_studies

print_studies()
