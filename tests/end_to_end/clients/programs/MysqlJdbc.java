import java.sql.*;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;

/** MariaDB's JDBC driver: HOST PORT LOGIN FILE [AUTHORITY]; prints a line for each thing that it saw. */
public class MysqlJdbc {
    static final String SLOW = "SELECT SLEEP(61), id FROM items";
    static final String MANY =
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT i, REPEAT('x', 100) FROM n";
    static String[] words;

    static Connection connect(String login) throws SQLException {
        Properties properties = new Properties();
        properties.setProperty("user", login);
        properties.setProperty("password", "");
        properties.setProperty("connectionAttributes", "program_name:probe");
        properties.setProperty("useServerPrepStmts", "true");
        properties.setProperty("useBulkStmts", "true");
        properties.setProperty("allowLocalInfile", "true");
        properties.setProperty("allowMultiQueries", "true");
        properties.setProperty("allowPublicKeyRetrieval", "true");
        properties.setProperty("connectTimeout", "20000");
        if (words.length > 4) {
            properties.setProperty("useSsl", "true");
            properties.setProperty("serverSslCert", words[4]);
        }
        return DriverManager.getConnection("jdbc:mariadb://" + words[0] + ":" + words[1] + "/clients", properties);
    }

    static void saw(String what, Object value) {
        System.out.println(what + "\t" + value);
    }

    static String rows(ResultSet result) throws SQLException {
        List<String> rows = new ArrayList<>();
        int columns = result.getMetaData().getColumnCount();
        while (result.next()) {
            List<String> row = new ArrayList<>();
            for (int column = 1; column <= columns; column++) row.add(result.getString(column));
            rows.add(String.join("|", row.stream().map(String::valueOf).toArray(String[]::new)));
        }
        return String.join(";", rows);
    }

    interface Step { void run() throws SQLException; }

    static String error(Step step) {
        try {
            step.run();
        } catch (SQLException error) {
            return error.getErrorCode() + " " + error.getSQLState() + " " + error.getMessage().replaceAll("^\\(conn=\\d+\\) ", "");
        }
        return "no error";
    }

    public static void main(String[] arguments) throws Exception {
        words = arguments;
        Connection connection = connect(words[2]);
        Statement statement = connection.createStatement();
        statement.executeQuery("SELECT 'begin'").close();
        saw("attributes", rows(statement.executeQuery(
            "SELECT ATTR_NAME, ATTR_VALUE FROM performance_schema.session_connect_attrs "
            + "WHERE PROCESSLIST_ID = CONNECTION_ID() ORDER BY ATTR_NAME")));
        saw("rows", rows(statement.executeQuery("SELECT id, name, price, added FROM items WHERE id <= 3 ORDER BY id")));
        saw("error", error(() -> connection.createStatement().executeQuery("SELECT no_such_column FROM items")));

        PreparedStatement select = connection.prepareStatement(
            "SELECT id, name, price FROM items WHERE id <= ? AND (name LIKE ? OR ? IS NULL) ORDER BY id");
        for (int most : new int[] {2, 1}) {
            select.setInt(1, most);
            select.setString(2, "item%");
            select.setNull(3, Types.VARCHAR);
            saw("prepared " + most, rows(select.executeQuery()));
        }
        select.close();
        saw("prepared error", error(() -> connection.prepareStatement("SELECT no_such_column FROM items WHERE id = ?")));

        statement.executeUpdate("CREATE TEMPORARY TABLE basket (id INT, what VARCHAR(40), price DECIMAL(8,2), at DATETIME)");
        PreparedStatement insert = connection.prepareStatement("INSERT INTO basket VALUES (?, ?, ?, ?)");
        for (int number = 1; number <= 3; number++) {
            insert.setInt(1, number);
            insert.setString(2, number == 2 ? null : "数据 " + number);
            insert.setBigDecimal(3, new java.math.BigDecimal(number + ".25"));
            insert.setTimestamp(4, Timestamp.valueOf("2026-02-03 04:05:06"));
            insert.addBatch();
        }
        int total = 0;
        for (int count : insert.executeBatch()) total += count == Statement.SUCCESS_NO_INFO ? 1 : count;
        saw("batch", total);
        insert.close();
        saw("kept", rows(statement.executeQuery("SELECT id, what, price FROM basket ORDER BY id")));

        boolean more = statement.execute("SELECT id FROM items WHERE id < 3; DO 1; SELECT 'last'");
        List<String> several = new ArrayList<>();
        while (more || statement.getUpdateCount() != -1) {
            several.add(more ? rows(statement.getResultSet()) : "ok");
            more = statement.getMoreResults();
        }
        saw("several", several);

        CallableStatement call = connection.prepareCall("{call two_results(?, ?)}");
        call.setInt(1, 2);
        call.setInt(2, 40);
        call.registerOutParameter(2, Types.INTEGER);
        call.execute();
        List<String> results = new ArrayList<>();
        results.add(rows(call.getResultSet()));
        while (call.getMoreResults()) results.add(rows(call.getResultSet()));
        saw("call", results);
        saw("out", call.getInt(2));
        call.close();

        statement.executeUpdate("CREATE TEMPORARY TABLE loaded (id INT, what VARCHAR(20))");
        saw("loaded", statement.executeUpdate("LOAD DATA LOCAL INFILE '" + words[3] + "' INTO TABLE loaded"));

        Statement streaming = connection.createStatement();
        streaming.setFetchSize(100);
        long sum = 0;
        ResultSet many = streaming.executeQuery(MANY);
        while (many.next()) sum += many.getInt(1) + many.getString(2).length();
        many.close();
        saw("streamed", sum);

        saw("valid", connection.isValid(5));
        connection.setAutoCommit(false);
        statement.executeUpdate("UPDATE basket SET what = 'changed'");
        connection.rollback();
        connection.setAutoCommit(true);
        connection.setCatalog("mysql");
        saw("catalog", rows(statement.executeQuery("SELECT DATABASE()")));
        connection.setCatalog("clients");

        Statement slow = connection.createStatement();
        ResultSet identifier = statement.executeQuery("SELECT CONNECTION_ID()");
        identifier.next();
        long id = identifier.getLong(1);
        Thread canceller = new Thread(() -> {
            try (Connection second = connect(words[2] + "-2"); Statement looking = second.createStatement()) {
                String atWork = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = " + id
                    + " AND INFO LIKE 'SELECT SL%'";
                while (rows(looking.executeQuery(atWork)).equals("0")) Thread.sleep(20);
                slow.cancel();
            } catch (Exception error) {
                error.printStackTrace();
            }
        });
        canceller.start();
        saw("cancelled", error(() -> slow.executeQuery(SLOW)));
        canceller.join();
        saw("afterwards", rows(statement.executeQuery("SELECT 'still here'")));
        connection.close();
    }
}
