-- A mail-order company: 12 tables, 5 views, about 200,000 rows, the same ones every time (setseed).
CREATE SCHEMA orders;
SET search_path = orders;
SELECT setseed(0.42);

CREATE TABLE countries (
    code char(2) PRIMARY KEY,
    name text NOT NULL,
    currency char(3) NOT NULL
);
INSERT INTO countries VALUES
    ('AT', 'Austria', 'EUR'), ('AU', 'Australia', 'AUD'), ('BE', 'Belgium', 'EUR'), ('BR', 'Brazil', 'BRL'),
    ('CA', 'Canada', 'CAD'), ('CH', 'Switzerland', 'CHF'), ('CN', 'China', 'CNY'), ('DE', 'Germany', 'EUR'),
    ('DK', 'Denmark', 'DKK'), ('ES', 'Spain', 'EUR'), ('FI', 'Finland', 'EUR'), ('FR', 'France', 'EUR'),
    ('GB', 'United Kingdom', 'GBP'), ('IE', 'Ireland', 'EUR'), ('IN', 'India', 'INR'), ('IT', 'Italy', 'EUR'),
    ('JP', 'Japan', 'JPY'), ('KR', 'South Korea', 'KRW'), ('MX', 'Mexico', 'MXN'), ('NL', 'Netherlands', 'EUR'),
    ('NO', 'Norway', 'NOK'), ('NZ', 'New Zealand', 'NZD'), ('PL', 'Poland', 'PLN'), ('PT', 'Portugal', 'EUR'),
    ('SE', 'Sweden', 'SEK'), ('SG', 'Singapore', 'SGD'), ('US', 'United States', 'USD'), ('ZA', 'South Africa', 'ZAR');

CREATE TABLE customers (
    id integer PRIMARY KEY,
    name text NOT NULL,
    email text NOT NULL UNIQUE,
    segment text NOT NULL CHECK (segment IN ('private', 'business', 'public')),
    country char(2) NOT NULL REFERENCES countries,
    since date NOT NULL,
    newsletter boolean NOT NULL
);
WITH names AS (
    SELECT ARRAY['Anna', 'Bruno', 'Chen', 'Dolores', 'Erik', 'Fatima', 'Giulia', 'Hiroshi', 'Ines', 'Jonas', 'Kavya',
                 'Liam', 'Mei', 'Noah', 'Olga', 'Pedro', 'Quinn', 'Rosa', 'Sven', 'Tomasz', 'Uma', 'Victor', 'Wei',
                 'Ximena', 'Yusuf', 'Zoe'] AS first,
           ARRAY['Almeida', 'Bauer', 'Costa', 'Dubois', 'Eriksen', 'Fischer', 'Garcia', 'Huang', 'Ivanova', 'Jensen',
                 'Kim', 'Larsen', 'Meyer', 'Nowak', 'O''Brien', 'Patel', 'Quist', 'Rossi', 'Sato', 'Tanaka', 'Ueda',
                 'Virtanen', 'Wang', 'Xu', 'Young', 'Zhang'] AS last
)
INSERT INTO customers
SELECT n, first[1 + n % 26] || ' ' || last[1 + (n / 26 + n) % 26],
       lower(first[1 + n % 26]) || '.' || n || '@example.com',
       CASE WHEN random() < 0.7 THEN 'private' WHEN random() < 0.8 THEN 'business' ELSE 'public' END,
       (SELECT array_agg(code ORDER BY code) FROM countries)[1 + floor(random() ^ 2 * 28)::int],
       date '2019-01-01' + floor(random() * 2500)::int,
       random() < 0.4
FROM names, generate_series(1, 8000) AS n;

CREATE TABLE addresses (
    id integer PRIMARY KEY,
    customer_id integer NOT NULL REFERENCES customers,
    kind text NOT NULL CHECK (kind IN ('billing', 'delivery')),
    street text NOT NULL,
    city text NOT NULL,
    postcode text NOT NULL
);
INSERT INTO addresses
SELECT n, 1 + (n - 1) % 8000, CASE WHEN n <= 8000 THEN 'billing' ELSE 'delivery' END,
       (ARRAY['Station Road', 'Market Street', 'Harbour Lane', 'Mill Way', 'Church Square', 'Garden Avenue',
              'River Bank', 'Castle Hill'])[1 + floor(random() * 8)::int] || ' ' || (1 + floor(random() * 180)::int),
       (ARRAY['Northport', 'Eastfield', 'Westbrook', 'Southgate', 'Lakeside', 'Hillview', 'Riverton', 'Oakdale',
              'Maplewood', 'Stonebridge'])[1 + floor(random() * 10)::int],
       lpad(floor(random() * 100000)::int::text, 5, '0')
FROM generate_series(1, 12000) AS n;

CREATE TABLE categories (
    id integer PRIMARY KEY,
    parent_id integer REFERENCES categories,
    name text NOT NULL
);
INSERT INTO categories VALUES
    (1, NULL, 'Home'), (2, NULL, 'Garden'), (3, NULL, 'Office'), (4, NULL, 'Outdoor'),
    (5, 1, 'Kitchen'), (6, 1, 'Lighting'), (7, 1, 'Textiles'), (8, 1, 'Storage'),
    (9, 2, 'Tools'), (10, 2, 'Planters'), (11, 2, 'Furniture'), (12, 2, 'Irrigation'),
    (13, 3, 'Desks'), (14, 3, 'Chairs'), (15, 3, 'Paper'), (16, 3, 'Pens'),
    (17, 4, 'Tents'), (18, 4, 'Backpacks'), (19, 4, 'Stoves'), (20, 4, 'Lamps');

CREATE TABLE suppliers (
    id integer PRIMARY KEY,
    name text NOT NULL,
    country char(2) NOT NULL REFERENCES countries,
    rating numeric(2, 1) NOT NULL
);
INSERT INTO suppliers
SELECT n, (ARRAY['Northern', 'Pacific', 'Alpine', 'Delta', 'Orion', 'Summit', 'Harbour', 'Meridian'])[1 + n % 8] || ' '
          || (ARRAY['Trading', 'Works', 'Supply', 'Goods', 'Industries'])[1 + n % 5] || ' ' || n,
       (SELECT array_agg(code ORDER BY code) FROM countries)[1 + floor(random() * 28)::int],
       round((2 + random() * 3)::numeric, 1)
FROM generate_series(1, 280) AS n;

CREATE TABLE products (
    id integer PRIMARY KEY,
    category_id integer NOT NULL REFERENCES categories,
    supplier_id integer NOT NULL REFERENCES suppliers,
    sku text NOT NULL UNIQUE,
    name text NOT NULL,
    price numeric(8, 2) NOT NULL CHECK (price > 0),
    attributes jsonb NOT NULL,
    discontinued boolean NOT NULL
);
INSERT INTO products
SELECT n, 5 + n % 16, 1 + floor(random() * 280)::int, 'P-' || lpad(n::text, 5, '0'),
       (ARRAY['Classic', 'Compact', 'Light', 'Sturdy', 'Folding', 'Large', 'Quiet'])[1 + n % 7] || ' '
       || lower((SELECT c.name FROM categories c WHERE c.id = 5 + n % 16)) || ' no. ' || n,
       round((3 + random() ^ 3 * 400)::numeric, 2),
       jsonb_build_object('colour', (ARRAY['black', 'white', 'green', 'blue', 'red'])[1 + floor(random() * 5)::int],
                          'weight_g', 50 + floor(random() * 9000)::int, 'recycled', random() < 0.3),
       random() < 0.05
FROM generate_series(1, 2000) AS n;

CREATE TABLE warehouses (
    id integer PRIMARY KEY,
    name text NOT NULL,
    country char(2) NOT NULL REFERENCES countries
);
INSERT INTO warehouses VALUES
    (1, 'Rotterdam', 'NL'), (2, 'Hamburg', 'DE'), (3, 'Lyon', 'FR'), (4, 'Leeds', 'GB'), (5, 'Newark', 'US'),
    (6, 'Singapore', 'SG');

CREATE TABLE stock (
    warehouse_id integer REFERENCES warehouses,
    product_id integer REFERENCES products,
    quantity integer NOT NULL CHECK (quantity >= 0),
    reorder_at integer NOT NULL,
    PRIMARY KEY (warehouse_id, product_id)
);
INSERT INTO stock
SELECT w, p, floor(random() * 400)::int, 20 + floor(random() * 60)::int
FROM generate_series(1, 6) AS w, generate_series(1, 2000) AS p;

CREATE TABLE orders (
    id integer PRIMARY KEY,
    customer_id integer NOT NULL REFERENCES customers,
    ordered_at timestamptz NOT NULL,
    status text NOT NULL CHECK (status IN ('new', 'paid', 'shipped', 'delivered', 'cancelled')),
    note text
);
INSERT INTO orders
SELECT n, 1 + floor(random() ^ 1.5 * 8000)::int,
       timestamptz '2024-01-01 00:00+00' + (n * interval '27 minutes') + (random() * interval '20 minutes'),
       CASE WHEN n > 35600 THEN 'new' WHEN n > 35000 THEN 'paid' WHEN n > 34000 THEN 'shipped'
            WHEN random() < 0.06 THEN 'cancelled' ELSE 'delivered' END,
       CASE WHEN random() < 0.03
            THEN (ARRAY['ring twice', 'leave with the neighbour', 'gift wrap, please', 'call before delivery'])
                 [1 + floor(random() * 4)::int] END
FROM generate_series(1, 36000) AS n;

CREATE TABLE order_lines (
    order_id integer REFERENCES orders,
    line smallint,
    product_id integer NOT NULL REFERENCES products,
    quantity integer NOT NULL CHECK (quantity > 0),
    unit_price numeric(8, 2) NOT NULL,
    PRIMARY KEY (order_id, line)
);
INSERT INTO order_lines
SELECT l.order_id, l.line, p.id, 1 + floor(random() ^ 2 * 6)::int, p.price
FROM (SELECT o.id AS order_id, line, 1 + floor(random() * 2000)::int AS product_id
      FROM orders o, generate_series(1, 1 + (o.id * 7919) % 4) AS line) AS l
JOIN products p ON p.id = l.product_id;

CREATE TABLE payments (
    id integer PRIMARY KEY,
    order_id integer NOT NULL REFERENCES orders,
    paid_at timestamptz NOT NULL,
    method text NOT NULL CHECK (method IN ('card', 'transfer', 'invoice')),
    amount numeric(10, 2) NOT NULL
);
INSERT INTO payments
SELECT row_number() OVER (ORDER BY o.id), o.id, o.ordered_at + random() * interval '2 days',
       (ARRAY['card', 'card', 'card', 'transfer', 'invoice'])[1 + floor(random() * 5)::int], sum(l.quantity * l.unit_price)
FROM orders o JOIN order_lines l ON l.order_id = o.id
WHERE o.status IN ('paid', 'shipped', 'delivered')
GROUP BY o.id;

CREATE TABLE shipments (
    id integer PRIMARY KEY,
    order_id integer NOT NULL REFERENCES orders,
    warehouse_id integer NOT NULL REFERENCES warehouses,
    carrier text NOT NULL,
    shipped_at timestamptz NOT NULL,
    delivered_at timestamptz CHECK (delivered_at > shipped_at)
);
INSERT INTO shipments
SELECT row_number() OVER (ORDER BY o.id), o.id, 1 + floor(random() * 6)::int,
       (ARRAY['Swift', 'Parcelway', 'Seafreight', 'Nightline'])[1 + floor(random() * 4)::int],
       o.ordered_at + interval '1 day' + random() * interval '2 days',
       CASE WHEN o.status = 'delivered'
            THEN o.ordered_at + interval '3 days 1 hour' + random() ^ 3 * interval '9 days' END
FROM orders o WHERE o.status IN ('shipped', 'delivered');

CREATE INDEX ON customers (country);
CREATE INDEX ON addresses (customer_id);
CREATE INDEX ON products (category_id);
CREATE INDEX ON orders (customer_id);
CREATE INDEX ON orders (ordered_at);
CREATE INDEX ON order_lines (product_id);
CREATE INDEX ON payments (order_id);
CREATE INDEX ON shipments (order_id);

CREATE VIEW order_totals AS
SELECT o.id, o.customer_id, o.ordered_at, o.status, count(*) AS lines, sum(l.quantity * l.unit_price) AS total
FROM orders o JOIN order_lines l ON l.order_id = o.id
GROUP BY o.id;

CREATE VIEW customer_revenue AS
SELECT c.id, c.name, c.country, c.segment, count(*) AS orders, sum(t.total) AS revenue
FROM customers c JOIN order_totals t ON t.customer_id = c.id
WHERE t.status <> 'cancelled'
GROUP BY c.id;

CREATE VIEW monthly_sales AS
SELECT date_trunc('month', ordered_at)::date AS month, count(*) AS orders, sum(total) AS revenue
FROM order_totals WHERE status <> 'cancelled'
GROUP BY 1;

CREATE VIEW late_shipments AS
SELECT s.id, s.order_id, s.carrier, s.shipped_at, s.delivered_at, s.delivered_at - s.shipped_at AS took
FROM shipments s WHERE s.delivered_at - s.shipped_at > interval '5 days';

CREATE VIEW stock_to_reorder AS
SELECT w.name AS warehouse, p.sku, p.name AS product, s.quantity, s.reorder_at
FROM stock s JOIN warehouses w ON w.id = s.warehouse_id JOIN products p ON p.id = s.product_id
WHERE s.quantity < s.reorder_at AND NOT p.discontinued;

COMMENT ON TABLE orders IS 'One row an order; what was bought is in order_lines';
COMMENT ON VIEW late_shipments IS 'Deliveries that took more than five days';
