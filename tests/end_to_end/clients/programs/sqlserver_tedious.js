// Asks a SQL Server in the ways that tedious has, and prints what came back, one JSON line a step.
// Words: HOST PORT DATABASE MODE (off, on, strict); DB_USER, DB_PASSWORD and DB_CA in the environment.
const fs = require('fs');
const { Connection, Request, TYPES } = require('tedious');

const [host, port, database, mode] = process.argv.slice(2);
const encryption = {
  off: { encrypt: false },
  on: { encrypt: true },
  strict: { encrypt: 'strict' },
}[mode];
const say = (step, value) => console.log(JSON.stringify({ step, value }));

const connection = new Connection({
  server: host,
  authentication: { type: 'default', options: { userName: process.env.DB_USER, password: process.env.DB_PASSWORD } },
  options: {
    port: Number(port), database, connectTimeout: 30000, cancelTimeout: 30000, requestTimeout: 60000,
    cryptoCredentialsDetails: { ca: process.env.DB_CA ? fs.readFileSync(process.env.DB_CA) : undefined },
    ...encryption,
  },
});

const asked = (make) => new Promise((resolve, reject) => {
  const rows = [];
  const request = make((error, count) => (error ? reject(error) : resolve({ count, rows })));
  request.on('row', (columns) => rows.push(columns.map((column) => column.value)));
});
const batch = (text) => asked((done) => {
  const request = new Request(text, done);
  connection.execSqlBatch(request);
  return request;
});

async function main() {
  await new Promise((resolve, reject) => connection.connect((error) => (error ? reject(error) : resolve())));
  say('parameters', (await asked((done) => {
    const request = new Request('select @a, @b, @c', done);
    request.addParameter('a', TYPES.Int, 5);
    request.addParameter('b', TYPES.NVarChar, 'é漢');
    request.addParameter('c', TYPES.VarBinary, Buffer.from([0, 255]));
    connection.execSql(request);
    return request;
  })).rows);

  const prepared = new Request('select @x + 1', () => {});
  prepared.addParameter('x', TYPES.Int);
  await new Promise((resolve, reject) => { prepared.on('prepared', resolve); prepared.on('error', reject); connection.prepare(prepared); });
  for (const x of [1, 41]) {
    await new Promise((resolve, reject) => {
      const rows = [];
      prepared.callback = (error) => (error ? reject(error) : (say('prepared', rows), resolve()));
      prepared.removeAllListeners('row');
      prepared.on('row', (columns) => rows.push(columns[0].value));
      connection.execute(prepared, { x });
    });
  }
  await new Promise((resolve) => { prepared.callback = resolve; connection.unprepare(prepared); });

  await batch('create table #tedious (id int not null, name nvarchar(50), more varchar(max))');
  say('bulk', await new Promise((resolve, reject) => {
    const load = connection.newBulkLoad('#tedious', {}, (error, count) => (error ? reject(error) : resolve(count)));
    load.addColumn('id', TYPES.Int, { nullable: false });
    load.addColumn('name', TYPES.NVarChar, { length: 50, nullable: true });
    load.addColumn('more', TYPES.VarChar, { length: Infinity, nullable: true });
    connection.execBulkLoad(load, [[1, 'a', 'z'], [2, null, null], [3, 'é', 'y'.repeat(9000)]]);
  }));
  await new Promise((resolve, reject) => connection.beginTransaction((error) => (error ? reject(error) : resolve()), 'one'));
  await batch('delete from #tedious');
  await new Promise((resolve, reject) => connection.rollbackTransaction((error) => (error ? reject(error) : resolve())));
  say('kept', (await batch('select id, name, len(more) from #tedious order by id')).rows);

  await batch("select 1; raiserror('in the middle', 16, 1); select 2").catch((error) => say('error', [error.number, error.message]));
  const rows = 'with n as (select 1 as i union all select i + 1 from n where i < 1000000) select i from n';
  for (const [what, text] of [['waiting', "waitfor delay '00:01:00'"], ['rows', rows]]) {
    await asked((done) => {
      const request = new Request(text, done);
      connection.execSqlBatch(request);
      if (what === 'rows') request.once('row', () => connection.cancel());
      else setTimeout(() => connection.cancel(), 200);
      return request;
    }).catch((error) => say('cancelled', [what, error.code]));
  }
  say('after', (await batch('select 7')).rows);
}

main().then(() => connection.close(), (error) => { console.error(error.message); process.exit(1); });
