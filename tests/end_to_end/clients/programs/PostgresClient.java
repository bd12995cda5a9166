import java.sql.BatchUpdateException;
import java.sql.CallableStatement;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Types;
import java.io.StringReader;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.util.Properties;
import org.postgresql.PGConnection;

/**
 * PostgreSQL's JDBC driver at work: prints what it gets, one line a step. Arguments: URL, CA file or "-".
 *
 * It connects twice: as it does by itself, then knowing the server's version beforehand, which makes it tell its name
 * in the startup message instead of by a statement.
 */
public class PostgresClient {
    public static void main(String[] words) throws Exception {
        Properties settings = new Properties();
        settings.setProperty("user", "whoever");
        settings.setProperty("password", "");
        settings.setProperty("ApplicationName", "ledger");
        settings.setProperty("gssEncMode", "disable");
        if (words[1].equals("-")) {
            settings.setProperty("sslmode", "disable");
        } else {
            settings.setProperty("sslmode", "verify-full");
            settings.setProperty("sslrootcert", words[1]);
        }
        try (Connection connection = DriverManager.getConnection(words[0], settings)) {
            query(connection);
            errors(connection);
            batch(connection);
            paging(connection);
            call(connection);
            copy(connection);
            cancel(connection);
        }
        settings.setProperty("assumeMinServerVersion", "10");
        try (Connection connection = DriverManager.getConnection(words[0], settings);
                Statement statement = connection.createStatement();
                ResultSet rows = statement.executeQuery("SELECT current_user, current_setting('application_name')")) {
            rows.next();
            System.out.println("seen as " + rows.getString(1) + " " + rows.getString(2));
        }
    }

    private static void query(Connection connection) throws SQLException {
        DatabaseMetaData server = connection.getMetaData();
        System.out.println("server " + server.getDatabaseMajorVersion());
        String query = "SELECT name, price FROM items WHERE id = ? AND price < ?";
        try (PreparedStatement statement = connection.prepareStatement(query)) {
            // From the fifth execution on the driver has a named statement on the server.
            for (int id = 1; id <= 6; id++) {
                statement.setInt(1, id);
                statement.setBigDecimal(2, new BigDecimal("7.00"));
                try (ResultSet rows = statement.executeQuery()) {
                    System.out.println("item " + (rows.next() ? rows.getString(1) + " " + rows.getBigDecimal(2) : "none"));
                }
            }
        }
    }

    private static void errors(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.executeQuery("SELECT nothing FROM items");
        } catch (SQLException error) {
            System.out.println("error " + error.getSQLState() + " " + error.getMessage().split("\n")[0]);
        }
    }

    private static void batch(Connection connection) throws SQLException {
        connection.setAutoCommit(false);
        try (Statement statement = connection.createStatement()) {
            statement.execute("CREATE TEMPORARY TABLE batch (n int PRIMARY KEY, what text)");
        }
        try (PreparedStatement statement = connection.prepareStatement("INSERT INTO batch VALUES (?, ?)")) {
            for (int n = 0; n < 1000; n++) {
                statement.setInt(1, n);
                statement.setString(2, n == 500 ? null : "row " + n);
                statement.addBatch();
            }
            System.out.println("batch " + statement.executeBatch().length);
        }
        connection.commit();
        try (PreparedStatement statement = connection.prepareStatement("INSERT INTO batch VALUES (?, 'again')")) {
            for (int n : new int[] {2000, 7, 2001}) {
                statement.setInt(1, n);
                statement.addBatch();
            }
            statement.executeBatch();
        } catch (BatchUpdateException error) {
            System.out.println("batch error " + error.getSQLState());
        }
        connection.rollback();
        connection.setAutoCommit(true);
    }

    private static void paging(Connection connection) throws SQLException {
        connection.setAutoCommit(false);
        try (PreparedStatement statement = connection.prepareStatement("SELECT n FROM batch ORDER BY n LIMIT 7")) {
            statement.setFetchSize(3);
            try (ResultSet rows = statement.executeQuery()) {
                int sum = 0;
                for (int at = 0; at < 4 && rows.next(); at++) {
                    sum += rows.getInt(1);
                }
                try (Statement other = connection.createStatement()) {
                    other.execute("SELECT 'in between'");
                }
                while (rows.next()) {
                    sum += rows.getInt(1);
                }
                System.out.println("pages " + sum);
            }
        }
        connection.commit();
        connection.setAutoCommit(true);
    }

    private static void call(Connection connection) throws SQLException {
        try (CallableStatement statement = connection.prepareCall("{? = call upper(?)}")) {
            statement.registerOutParameter(1, Types.VARCHAR);
            statement.setString(2, "called");
            statement.execute();
            System.out.println("call " + statement.getString(1));
        }
    }

    private static void copy(Connection connection) throws Exception {
        var copying = connection.unwrap(PGConnection.class).getCopyAPI();
        long sent = copying.copyIn("COPY batch FROM STDIN", new StringReader("3000\tthree\n3001\tdrei\n"));
        StringWriter got = new StringWriter();
        copying.copyOut("COPY (SELECT what FROM batch WHERE n >= 3000 ORDER BY n) TO STDOUT", got);
        System.out.println("copy " + sent + " " + got.toString().replace("\n", " ").trim());
    }

    private static void cancel(Connection connection) throws Exception {
        try (Statement statement = connection.createStatement()) {
            statement.setQueryTimeout(1);
            statement.execute("SELECT pg_sleep(70)");
        } catch (SQLException error) {
            System.out.println("cancel " + error.getSQLState() + " " + error.getMessage());
        }
        try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery("SELECT 42")) {
            rows.next();
            System.out.println("after " + rows.getInt(1));
        }
    }
}
