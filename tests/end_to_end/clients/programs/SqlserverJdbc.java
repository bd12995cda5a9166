import java.sql.*;

/** Takes a JDBC address and asks in the ways that jTDS has; the user and password come from the environment. */
public class SqlserverJdbc {
    static void say(String what, Object value) {
        System.out.println(what + "=" + value);
    }

    public static void main(String[] words) throws Exception {
        Class.forName("net.sourceforge.jtds.jdbc.Driver");
        String user = System.getenv("DB_USER"), password = System.getenv("DB_PASSWORD");
        try (Connection connection = DriverManager.getConnection(words[0], user, password)) {
            try (PreparedStatement statement = connection.prepareStatement("select ?, ?, ? + 1")) {
                for (int number : new int[] {1, 41}) {
                    statement.setString(1, "é漢");
                    statement.setBigDecimal(2, new java.math.BigDecimal("12.34"));
                    statement.setInt(3, number);
                    try (ResultSet rows = statement.executeQuery()) {
                        rows.next();
                        say("prepared", rows.getString(1) + "|" + rows.getBigDecimal(2) + "|" + rows.getInt(3));
                    }
                }
            }
            try (Statement statement = connection.createStatement()) {
                statement.execute("create table #jdbc (id int, name nvarchar(50))");
            }
            connection.setAutoCommit(false);
            try (PreparedStatement statement = connection.prepareStatement("insert into #jdbc values (?, ?)")) {
                for (int number = 1; number <= 3; number++) {
                    statement.setInt(1, number);
                    statement.setString(2, "row " + number);
                    statement.addBatch();
                }
                say("batch", statement.executeBatch().length);
            }
            connection.commit();
            try (Statement statement = connection.createStatement()) {
                statement.executeUpdate("delete from #jdbc");
                connection.rollback();
            }
            connection.setAutoCommit(true);
            try (Statement statement = connection.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_READ_ONLY);
                 ResultSet rows = statement.executeQuery("select id, name from #jdbc order by id")) {
                rows.absolute(3);
                say("cursor", rows.getRow() + "|" + rows.getString(2));
                rows.first();
                say("first", rows.getString(2));
            }
            try (Statement statement = connection.createStatement()) {
                statement.executeQuery("select * from nowhere_at_all");
            } catch (SQLException error) {
                say("error", error.getErrorCode() + "|" + error.getMessage());
            }
            try (Statement statement = connection.createStatement()) {
                boolean result = statement.execute("select 1 print 'between' select 2");
                ResultSet rows = statement.getResultSet();
                rows.next();
                say("result", rows.getInt(1));
                while (!statement.getMoreResults()) {
                    if (statement.getUpdateCount() == -1) break;
                }
                rows = statement.getResultSet();
                rows.next();
                say("next", rows.getInt(1));
            }
            Statement slow = connection.createStatement();
            slow.setQueryTimeout(1);
            try {
                slow.execute("waitfor delay '00:00:50'");
                say("cancelled", "no");
            } catch (SQLException error) {
                say("cancelled", error.getMessage());
            }
            try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery("select 7")) {
                rows.next();
                say("after", rows.getInt(1));
            }
        }
    }
}
