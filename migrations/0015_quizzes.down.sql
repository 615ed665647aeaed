DROP TABLE answers;
DROP TABLE attempts;
DROP TABLE allowances;
DROP TABLE questions;
DROP TABLE quizzes;
