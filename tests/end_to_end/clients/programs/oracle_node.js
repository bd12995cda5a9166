// Asks an Oracle database in the ways that node-oracledb (thin) has, and prints what came back, one JSON line a step.
// Words: HOST:PORT/SERVICE; DB_USER and DB_PASSWORD in the environment.
const oracledb = require('oracledb');

const connectString = process.argv[2];
const place = { user: process.env.DB_USER, password: process.env.DB_PASSWORD, connectString };
const say = (step, value) => console.log(JSON.stringify({ step, value }));
const failing = async (step, work) => {
  try {
    await work();
    say(step, 'no error');
  } catch (error) {
    say(step, [error.errorNum ?? error.code, error.message.split('\n')[0]]);
  }
};

async function main() {
  const connection = await oracledb.getConnection({ ...place, program: 'node-program' });
  say('select', (await connection.execute('select :a as n, :b as t from dual', { a: 5, b: 'é漢' })).rows);

  await connection.execute(
    'create table node_items (id number primary key, name varchar2(50), at date, note clob, data blob)');
  const at = new Date(2026, 10, 23, 4, 5, 6);
  const inserted = 'insert into node_items (id, name, at) values (:id, :name, :at)';
  say('insert', (await connection.execute(inserted, { id: 1, name: 'eins 数据', at })).rowsAffected);
  const many = await connection.executeMany(
    'insert into node_items (id, name) values (:1, :2)', [[2, 'zwei'], [3, null], [4, 'vier']],
    { bindDefs: [{ type: oracledb.NUMBER }, { type: oracledb.STRING, maxSize: 50 }] });
  say('many', many.rowsAffected);
  await connection.commit();
  await connection.execute('delete from node_items where id > 2');
  await connection.rollback();
  const kept = await connection.execute(
    'select id, name, at from node_items where id < :most order by id', [3],
    { outFormat: oracledb.OUT_FORMAT_OBJECT });
  say('kept', kept.rows.map((row) => [row.ID, row.NAME, row.AT && row.AT.getTime() === at.getTime()]));

  await failing('missing', () => connection.execute('select * from nothing_here'));
  await failing('twice', () => connection.execute(inserted, { id: 1, name: 'again', at: null }));
  await failing('in the middle', async () => {
    const { resultSet } = await connection.execute(
      'select failing_at(level, 350) as n from dual connect by level <= 1000', [],
      { resultSet: true, fetchArraySize: 100, prefetchRows: 100 });
    const first = await resultSet.getRows(300);
    say('before it', [first.length, first[299]]);
    try {
      await resultSet.getRows(300);
    } finally {
      await resultSet.close();
    }
  });

  const block = await connection.execute('begin :doubled := :given * 2; end;', {
    doubled: { dir: oracledb.BIND_OUT, type: oracledb.NUMBER }, given: 21,
  });
  say('block', block.outBinds);
  const returned = await connection.execute(
    'update node_items set name = :name where id = :id returning id, name into :changed, :called',
    {
      name: 'vier', id: 4,
      changed: { dir: oracledb.BIND_OUT, type: oracledb.NUMBER },
      called: { dir: oracledb.BIND_OUT, type: oracledb.STRING, maxSize: 50 },
    });
  say('returned', [returned.outBinds.changed, returned.outBinds.called]);
  const batch = await connection.executeMany(
    'insert into node_items (id, name) values (:1, :2)', [[1, 'again'], [5, 'fünf'], [4, 'again']],
    { batchErrors: true, bindDefs: [{ type: oracledb.NUMBER }, { type: oracledb.STRING, maxSize: 50 }] });
  say('errors', batch.batchErrors.map((error) => [error.offset, error.message.slice(0, 9)]));
  await failing('raised', () => connection.execute("begin raise_application_error(-20001, 'as asked'); end;"));

  await connection.execute('update node_items set note = :note, data = :data where id = 1', {
    note: 'n'.repeat(5000), data: Buffer.from([0, 255, 7]),
  });
  const [[note, data]] = (await connection.execute('select note, data from node_items where id = 1')).rows;
  say('lobs', [note.length, (await note.getData()).length, (await data.getData()).toString('hex')]);
  const lob = await connection.createLob(oracledb.CLOB);
  await new Promise((resolve, reject) => {
    lob.on('finish', resolve);
    lob.on('error', reject);
    lob.end('written in pieces, 数据');
  });
  await connection.execute('update node_items set note = :note where id = 2', { note: lob });
  await lob.destroy();
  await connection.commit();
  const fetched = await connection.execute('select note from node_items where id = 2', [],
    { fetchTypeHandler: () => ({ type: oracledb.STRING }) });
  say('text', fetched.rows);

  const stream = connection.queryStream('select level from dual connect by level <= 1000', [], { fetchArraySize: 90 });
  let rows = 0;
  for await (const row of stream) rows += row.length;
  say('stream', rows);

  const opened = await connection.execute(
    'begin open :found for select level from dual connect by level <= 3; end;',
    { found: { dir: oracledb.BIND_OUT, type: oracledb.CURSOR } });
  say('cursor', await opened.outBinds.found.getRows());
  await opened.outBinds.found.close();

  const sleeping = failing('broken', () => connection.execute('begin dbms_session.sleep(200); end;'));
  setTimeout(() => connection.break(), 300);
  await sleeping;
  connection.callTimeout = 3000; // so long may the answer to the break take as well
  await failing('hurried', () => connection.execute('begin dbms_session.sleep(200); end;'));
  connection.callTimeout = 0;
  say('after', (await connection.execute('select 7 from dual')).rows);
  await connection.ping();
  connection.module = 'a module';
  connection.action = 'an action';
  connection.clientId = 'a person';
  say('told', (await connection.execute('select 8 from dual')).rows);
  await connection.execute('drop table node_items');
  await connection.close();

  const pool = await oracledb.createPool({ ...place, poolMin: 1, poolMax: 2 });
  const [one, two] = await Promise.all([pool.getConnection(), pool.getConnection()]);
  const both = await Promise.all([one.execute('select 11 from dual'), two.execute('select 12 from dual')]);
  say('pool', [both.map((result) => result.rows), pool.connectionsOpen]);
  await one.close();
  await two.close();
  await pool.close(0);

  await failing('stranger', () => oracledb.getConnection({ ...place, password: 'another' }));
}

main().catch((error) => { console.error(error.stack); process.exit(1); });
