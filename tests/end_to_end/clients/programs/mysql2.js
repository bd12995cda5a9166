// mysql2 for Node.js: HOST PORT LOGIN FILE [AUTHORITY]; prints what it saw as one JSON object.
"use strict";
const fs = require("fs");
const mysql = require("mysql2/promise");

const [host, port, login, file, authority] = process.argv.slice(2);
const SLOW = "SELECT SLEEP(61), id FROM items";
const MANY =
  "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT i, REPEAT('x', 100) FROM n";

function connect(user) {
  return mysql.createConnection({
    host, port: Number(port), user, password: "", database: "clients", charset: "utf8mb4", dateStrings: true,
    multipleStatements: true, rowsAsArray: true, connectAttributes: { program_name: "probe" },
    infileStreamFactory: (path) => fs.createReadStream(path),
    ssl: authority ? { ca: fs.readFileSync(authority), rejectUnauthorized: true, verifyIdentity: true } : undefined,
  });
}

async function errorOf(promise) {
  try {
    await promise;
  } catch (error) {
    return [error.errno, error.sqlMessage];
  }
  throw new Error("no error");
}

async function cancel(connection) {
  const running = errorOf(connection.query(SLOW));
  const second = await connect(login + "-2");
  for (;;) {
    const [rows] = await second.query(
      "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = " + connection.threadId +
        " AND INFO LIKE 'SELECT SL%'");
    if (rows[0][0]) break;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await second.query("KILL QUERY " + connection.threadId);
  await second.end();
  return running;
}

async function main() {
  const seen = {};
  const connection = await connect(login);
  const rows = async (...words) => (await connection.query(...words))[0];
  const executed = async (...words) => (await connection.execute(...words))[0];
  await rows("SELECT 'begin'");
  seen.tls = connection.connection.stream.getProtocol ? connection.connection.stream.getProtocol() : null;
  seen.attributes = Object.fromEntries(await rows(
    "SELECT ATTR_NAME, ATTR_VALUE FROM performance_schema.session_connect_attrs " +
      "WHERE PROCESSLIST_ID = CONNECTION_ID() ORDER BY ATTR_NAME"));
  seen.rows = await rows("SELECT id, name, price, added FROM items WHERE id <= ? ORDER BY id", [3]);
  seen.text = await rows("SELECT ?, ?", ["数据 café 😀", null]);
  seen.error = await errorOf(connection.query("SELECT no_such_column FROM items"));
  const select = "SELECT id, name, price, added FROM items WHERE id <= ? AND (name LIKE ? OR ? IS NULL) ORDER BY id";
  seen.prepared = [await executed(select, [2, "item%", null]), await executed(select, [1, "%数据", null])];
  seen.preparedError = await errorOf(connection.execute("SELECT no_such_column FROM items WHERE id = ?", [1]));
  await rows("CREATE TEMPORARY TABLE basket (id INT, what VARCHAR(40), at DATETIME(6))");
  seen.inserted = (await executed(
    "INSERT INTO basket VALUES (?, ?, ?)", [1, "one", "2026-02-03 04:05:06.789"])).affectedRows;
  seen.bulk = (await rows("INSERT INTO basket (id, what) VALUES ?", [[[2, "two"], [3, null]]])).affectedRows;
  connection.unprepare(select);
  seen.several = (await rows("SELECT id FROM items WHERE id < 3; DO 1; SELECT 'last'"))
    .map((each) => (Array.isArray(each) ? each : "ok"));
  seen.call = (await rows("CALL two_results(2, @total)")).map((each) => (Array.isArray(each) ? each : "ok"));
  await rows("CREATE TEMPORARY TABLE loaded (id INT, what VARCHAR(20))");
  seen.loaded = (await rows(`LOAD DATA LOCAL INFILE '${file}' INTO TABLE loaded`)).affectedRows;
  seen.streamed = await new Promise((resolve, reject) => {
    let total = 0;
    connection.connection.query(MANY).on("result", (row) => { total += row[0] + row[1].length; })
      .on("error", reject).on("end", () => resolve(total));
  });
  await connection.ping();
  await connection.changeUser({ user: "another", password: "", database: "clients" });
  seen.user = await rows("SELECT SUBSTRING_INDEX(CURRENT_USER(), '@', 1), DATABASE()");
  seen.cancelled = await cancel(connection);
  seen.afterwards = await rows("SELECT 'still here'");
  await connection.end();
  console.log(JSON.stringify(seen));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
