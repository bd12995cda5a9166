// The `pg` driver at work: prints what it gets, one line a step. Arguments: host, port, database, CA file or "-".
'use strict'

const fs = require('fs')
const { Client, Pool, Query } = require('pg')
const Cursor = require('pg-cursor')
const QueryStream = require('pg-query-stream')

const [host, port, database, authority] = process.argv.slice(2)
const settings = {
  host,
  port: Number(port),
  database,
  user: 'whoever',
  password: '',
  application_name: 'website',
  connectionTimeoutMillis: 20000,
  ssl: authority === '-' ? false : { ca: fs.readFileSync(authority, 'utf8') },
}

const say = (...words) => console.log(...words)

async function queries(client) {
  const seen = await client.query("SELECT current_user, current_setting('application_name') AS name")
  say('seen as', seen.rows[0].current_user, seen.rows[0].name)
  const bound = await client.query('SELECT $1::int + 1 AS n, $2::text AS t, $3::bytea AS b, $4::text AS nothing', [
    41,
    'naïve 数',
    Buffer.from([0, 255]),
    null,
  ])
  say('bound', JSON.stringify(bound.rows))
  for (const id of [1, 4, 99]) {
    const named = await client.query({ name: 'by-id', text: 'SELECT name FROM items WHERE id = $1', values: [id] })
    say('named', named.rowCount)
  }
  const several = await client.query("SELECT 'one' AS a; SELECT 'two' AS b")
  say('several', several.map((one) => one.rowCount).join(' '))
  await client.query('SELECT nothing FROM items').catch((error) => say('error', error.code, error.message))
  await client
    .query('INSERT INTO items (id) VALUES ($1)', [1])
    .catch((error) => say('error', error.code, error.detail))
}

async function cursors(client) {
  await client.query('BEGIN')
  const cursor = client.query(new Cursor('SELECT n FROM generate_series(1, $1::int) AS n', [7]))
  const first = await cursor.read(3)
  const second = await cursor.read(3)
  await cursor.close()
  say('cursor', first.length, second[2].n)
  let sum = 0
  for await (const row of client.query(new QueryStream('SELECT n FROM generate_series(1, 250) AS n'))) {
    sum += row.n
  }
  say('stream', sum)
  await client.query('COMMIT')
}

async function notifications(client) {
  const rung = new Promise((resolve) => client.once('notification', resolve))
  await client.query('LISTEN bell')
  await client.query("SELECT pg_notify('bell', $1)", ['rings'])
  say('heard', (await rung).payload)
}

// The driver's own request to cancel goes without TLS only (its `cancel` waits for an event that TLS never gives); with
// TLS another session asks for it by the process id, which is the database's own.
async function cancel(client) {
  const watching = new Client(settings)
  await watching.connect()
  let ended
  const stopped = new Promise((resolve) => (ended = resolve))
  const query = new Query('SELECT pg_sleep(71)', ended)
  client.query(query)
  const running = "SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND state = 'active' AND query = 'SELECT pg_sleep(71)'"
  while ((await watching.query(running, [client.processID])).rowCount === 0);
  if (settings.ssl) {
    await watching.query('SELECT pg_cancel_backend($1)', [client.processID])
  } else {
    new Client(settings).cancel(client, query)
  }
  const error = await stopped
  say('cancel', error.code, error.message)
  say('after', (await client.query('SELECT 42 AS n')).rows[0].n)
  await watching.end()
}

async function main() {
  const client = new Client(settings)
  await client.connect()
  say('encrypted', Boolean(client.connection.stream.encrypted))
  await queries(client)
  await cursors(client)
  await notifications(client)
  await cancel(client)
  await client.end()
  const pool = new Pool({ ...settings, max: 2 })
  const answers = await Promise.all([1, 2, 3, 4].map((n) => pool.query('SELECT $1::int * 2 AS n', [n])))
  say('pool', answers.map((each) => each.rows[0].n).join(' '))
  await pool.end()
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
