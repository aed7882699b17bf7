"""Parameters that many routes have."""

from typing import Annotated

from fastapi import Path, Query

from beamctl.api.schemas.base import LARGEST_ID, NO_CONTROL

RowNumber = Annotated[int, Path(ge=1, le=LARGEST_ID)]
"""number of a row in the path"""
Name = Annotated[str, Path(min_length=1, max_length=100, pattern=NO_CONTROL)]
"""name of something in the path"""
Before = Annotated[int | None, Query(ge=1, le=LARGEST_ID, description="Only rows before this number: the next page.")]
Limit = Annotated[int, Query(ge=1, le=200, description="Rows of a page.")]
Word = Annotated[str | None, Query(min_length=1, max_length=100, pattern=NO_CONTROL)]
"""a filter"""
