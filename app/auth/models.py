"""Who is signed in to the dashboard, and the codes that let somebody in once."""

from datetime import datetime

from sqlalchemy import LargeBinary, Text
from sqlmodel import Field, SQLModel

from app.auth.tokens import Role
from app.database import enum_column


class Session(SQLModel, table=True):
    """One signed-in browser. Its cookie holds the token, of which only the hash is kept."""

    __tablename__ = "sessions"

    token_hash: bytes = Field(sa_type=LargeBinary, primary_key=True)
    subject: str = Field(sa_type=Text)
    role: Role = Field(sa_type=enum_column(Role, "role"))
    created_at: datetime
    expires_at: datetime


class SignInCode(SQLModel, table=True):
    """A code that starts one session: the row goes with its use."""

    __tablename__ = "sign_in_codes"

    code_hash: bytes = Field(sa_type=LargeBinary, primary_key=True)
    subject: str = Field(sa_type=Text)
    role: Role = Field(sa_type=enum_column(Role, "role"))
    expires_at: datetime
