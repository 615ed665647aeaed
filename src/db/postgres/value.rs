//! Values on the wire: the four sorts that are stored, in PostgreSQL's binary formats.

use std::error::Error as StdError;

use bytes::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::db::Value;

type Failed = Box<dyn StdError + Sync + Send>;

impl ToSql for Value {
    fn to_sql(&self, wanted: &Type, out: &mut BytesMut) -> Result<IsNull, Failed> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(int) if *wanted == Type::INT8 => int.to_sql(wanted, out),
            Self::Int(int) if *wanted == Type::INT4 => i32::try_from(*int)?.to_sql(wanted, out),
            Self::Int(int) if *wanted == Type::INT2 => i16::try_from(*int)?.to_sql(wanted, out),
            Self::Int(int) if *wanted == Type::BOOL => (*int != 0).to_sql(wanted, out),
            Self::Text(text) if <&str as ToSql>::accepts(wanted) => {
                text.as_str().to_sql(wanted, out)
            }
            Self::Bytes(bytes) if *wanted == Type::BYTEA => bytes.as_slice().to_sql(wanted, out),
            // Which value it was is nobody's business.
            Self::Int(_) | Self::Text(_) | Self::Bytes(_) => {
                Err(format!("a value of another type than {wanted}").into())
            }
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Value {
    fn from_sql(stored: &Type, raw: &'a [u8]) -> Result<Self, Failed> {
        Ok(match *stored {
            Type::INT8 => Self::Int(i64::from_sql(stored, raw)?),
            Type::INT4 => Self::Int(i32::from_sql(stored, raw)?.into()),
            Type::INT2 => Self::Int(i16::from_sql(stored, raw)?.into()),
            Type::BOOL => Self::Int(bool::from_sql(stored, raw)?.into()),
            Type::BYTEA => Self::Bytes(raw.to_vec()),
            _ => Self::Text(String::from_sql(stored, raw)?),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Failed> {
        Ok(Self::Null)
    }

    fn accepts(stored: &Type) -> bool {
        [Type::INT8, Type::INT4, Type::INT2, Type::BOOL, Type::BYTEA].contains(stored)
            || <&str as FromSql>::accepts(stored)
    }
}
