-- The picking floor of one warehouse: 5 tables, 1 view, about 25,000 rows. Runs on MariaDB and MySQL.
CREATE TABLE zones (
    code CHAR(1) PRIMARY KEY,
    name VARCHAR(40) NOT NULL
);
INSERT INTO zones VALUES ('A', 'Fast movers'), ('B', 'Shelves'), ('C', 'Pallets'), ('D', 'Returns');

CREATE TABLE bins (
    id INT PRIMARY KEY,
    zone CHAR(1) NOT NULL,
    aisle INT NOT NULL,
    shelf INT NOT NULL,
    capacity INT NOT NULL,
    FOREIGN KEY (zone) REFERENCES zones (code)
);
CREATE TABLE items (
    id INT PRIMARY KEY,
    sku VARCHAR(12) NOT NULL UNIQUE,
    name VARCHAR(80) NOT NULL,
    weight_g INT NOT NULL
);
CREATE TABLE pickers (
    id INT PRIMARY KEY,
    name VARCHAR(60) NOT NULL,
    shift ENUM('early', 'late', 'night') NOT NULL
);
INSERT INTO pickers VALUES
    (1, 'Anna Bauer', 'early'), (2, 'Bruno Costa', 'early'), (3, 'Chen Wei', 'late'), (4, 'Dolores Garcia', 'late'),
    (5, 'Erik Larsen', 'night'), (6, 'Fatima Patel', 'night');
CREATE TABLE movements (
    id INT PRIMARY KEY,
    item_id INT NOT NULL,
    bin_id INT NOT NULL,
    picker_id INT NOT NULL,
    quantity INT NOT NULL,
    moved_at DATETIME NOT NULL,
    FOREIGN KEY (item_id) REFERENCES items (id),
    FOREIGN KEY (bin_id) REFERENCES bins (id),
    FOREIGN KEY (picker_id) REFERENCES pickers (id)
);

CREATE TABLE digits (d INT PRIMARY KEY);
INSERT INTO digits VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9);
CREATE TABLE numbers AS
SELECT a.d + 10 * b.d + 100 * c.d + 1000 * e.d + 10000 * f.d AS n
FROM digits a, digits b, digits c, digits e, (SELECT 0 AS d UNION ALL SELECT 1) f;

INSERT INTO bins
SELECT n, SUBSTRING('AABBBBBCCD', 1 + n % 10, 1), 1 + n DIV 50, 1 + n % 50, 20 + (n * 37) % 180
FROM numbers WHERE n BETWEEN 1 AND 1200;
INSERT INTO items
SELECT n, CONCAT('P-', LPAD(n, 5, '0')), CONCAT('Item no. ', n), 50 + (n * 7919) % 9000
FROM numbers WHERE n BETWEEN 1 AND 2000;
INSERT INTO movements
SELECT n + 1, 1 + (n * 7919) % 2000, 1 + (n * 104729) % 1200, 1 + (n * 31) % 6, ((n * 17) % 41) - 20,
       '2026-01-01 06:00:00' + INTERVAL (n * 19) MINUTE
FROM numbers;
DROP TABLE numbers;
DROP TABLE digits;
CREATE INDEX movements_by_time ON movements (moved_at);

CREATE VIEW picks_per_shift AS
SELECT p.shift, COUNT(*) AS movements, SUM(ABS(m.quantity)) AS pieces
FROM movements m JOIN pickers p ON p.id = m.picker_id
GROUP BY p.shift;
