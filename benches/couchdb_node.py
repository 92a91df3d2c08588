"""One CouchDB node on a loopback address, for benchmarks that need a real one."""

import base64
import http.client
import json
import shutil
import signal
import subprocess
import time

ADDRESS, PORT, PASSWORD = '127.0.86.1', 5984, 'bench'

INI = '''[couchdb]
database_dir = {data}
view_index_dir = {data}
uuid = bench
max_dbs_open = 10000
single_node = true
[chttpd]
bind_address = {address}
port = {port}
[chttpd_auth]
secret = benchsecret
iterations = 10
[cluster]
q = 2
n = 1
[log]
level = warning
[smoosh]
db_channels = ,
view_channels = ,
[admins]
admin = {password}
'''


class Node:
    """Started when made, with an empty data directory below `work`."""

    def __init__(self, work, couchdb):
        self.work, self.data = work, work / 'data'
        (work / 'etc/local.d').mkdir(parents=True)
        self.data.mkdir()
        shutil.copy(couchdb / 'etc/default.ini', work / 'etc')
        (work / 'etc/local.d/bench.ini').write_text(
            INI.format(data=self.data, address=ADDRESS, port=PORT, password=PASSWORD))
        kept = [line for line in (couchdb / 'etc/vm.args').read_text().splitlines()
                if not line.startswith(('-name ', '-setcookie ', '-kernel inet_dist_use_interface '))]
        kept += [f'-name bench@{ADDRESS}', '-setcookie couchcopy-bench', '+sbwt none', '+sbwtdcpu none', '+sbwtdio none',
                 '-kernel inet_dist_use_interface {%s}' % ADDRESS.replace('.', ',')]
        (work / 'etc/vm.args').write_text('\n'.join(kept) + '\n')
        environment = {'PATH': '/usr/bin:/bin', 'HOME': str(work), 'COUCHDB_INI_FILES': f'{work}/etc/default.ini {work}/etc/local.d',
                       'COUCHDB_ARGS_FILE': f'{work}/etc/vm.args'}
        with open(work / 'log', 'wb') as log:
            self.process = subprocess.Popen([couchdb / 'bin/couchdb'], env=environment, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True)
        self.wait_until('CouchDB to answer', lambda: self.ask('GET', '/_up')[0] == 200)
        for database in ('_users', '_replicator'):
            self.ask('PUT', f'/{database}')

    def ask(self, method, path, body=None):
        """Status and answer; (0, None) without an answer. `body` becomes JSON."""
        headers = {'Content-Type': 'application/json',
                   'Authorization': 'Basic ' + base64.b64encode(f'admin:{PASSWORD}'.encode()).decode()}
        try:
            connection = http.client.HTTPConnection(ADDRESS, PORT, timeout=120)
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
            connection.close()
            return answer.status, json.loads(text) if text else None
        except (OSError, ValueError, http.client.HTTPException):
            return 0, None

    def wait_until(self, what, holds, seconds=600):
        end = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > end or self.process.poll() is not None:
                raise RuntimeError(f'waited in vain for {what}; see {self.work}/log')
            time.sleep(0.1)

    def compact(self, database):
        """Compacts a database, and waits for its end."""
        before = {path: path.stat().st_ino for path in self.data.glob(f'shards/*/{database}.*.couch')}
        self.ask('POST', f'/{database}/_compact', {})
        self.wait_until(f'the compaction of {database}', lambda: all(path.stat().st_ino != inode for path, inode in before.items()))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
