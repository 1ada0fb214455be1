# Answers questions about recurrences with dateutil (Debian's python3-dateutil); see make diff-rrule. It reads one JSON object a line,
# {"id", "rule", "start", "end", "n"} with readings of a clock as 20260130T090000, and writes one line each: the first n occurrences not
# after the end, as readings, or what it said in place of them, and whether its time was over: 0.1 s.
import json
import signal
import sys
import warnings

import dateutil
from dateutil.rrule import rrulestr

FORM = '%Y%m%dT%H%M%S'
warnings.simplefilter('ignore')  # of COUNT beside UNTIL, which keeps it from searching to the end of time


class Over(Exception):
    pass


def over(*_):
    raise Over


def answer(q):
    parts = q['rule'].split(';')
    ends = [p[6:] for p in parts if p.startswith('UNTIL=')] + [q['end']]
    rule = ';'.join([p for p in parts if not p.startswith('UNTIL=')] + ['UNTIL=' + min(ends)])
    at = []
    try:
        signal.setitimer(signal.ITIMER_PROF, 0.1)
        for d in rrulestr('DTSTART:%s\nRRULE:%s' % (q['start'], rule)):
            at.append(d.strftime(FORM))
            if len(at) >= q['n']:
                break
    except Over:
        return {'id': q['id'], 'over': True}
    except Exception as e:
        return {'id': q['id'], 'error': '%s: %s' % (type(e).__name__, e)}
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return {'id': q['id'], 'at': at}


signal.signal(signal.SIGPROF, over)
print(json.dumps({'version': 'dateutil ' + dateutil.__version__}))
for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))))
