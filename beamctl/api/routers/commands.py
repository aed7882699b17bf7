"""What people tell a run."""

from starlette.convertors import StringConvertor, register_url_convertor

from beamctl.api.access import Operator
from beamctl.api.commands import command
from beamctl.api.parameters import RowNumber
from beamctl.api.routing import resource
from beamctl.api.schemas.runs import Commanded
from beamctl.api.service import Served
from beamctl.api.version import PREFIX
from beamctl.api.versions import IfMatch
from beamctl.store.states import Verb

router = resource("runs")


class _VerbConvertor(StringConvertor):
    """Matches commands only, so that whatever else is below a run is not taken for one."""

    regex = "|".join(Verb)


register_url_convertor("verb", _VerbConvertor())


@router.post(f"{PREFIX}/runs/{{run}}/{{verb:verb}}", status_code=202)
def command_run(run: RowNumber, verb: Verb, service: Served, operator: Operator, if_match: IfMatch = None) -> Commanded:
    """Pause, resume, accept, abort, halt, or decide what waits for a person.

    Approve, takeover, restore, leave and clear need If-Match with the ETag of the run as it was looked at; accept
    looks at it where it is sent; abort and halt never do.
    """
    return command(service, run, verb, operator.name, if_match)
